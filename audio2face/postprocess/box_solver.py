"""Small quadratic problems over a box 0 <= x <= upper, by bounded-variable least squares (Stark and Parker, 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_OPTIMAL = 1e-10  # largest violation of the optimality conditions that counts as none
_STALLED = 1e-6  # a round that changes the violation by less than this is the last: the runtime's rule
_ROUNDING = 1e-12  # violations that are rounding, as a share of the right side
_UNIQUE = 1e12  # condition number of the hessian up to which the optimum is one point for our purposes
_PIVOTS = 12


@dataclass(frozen=True)
class Problem:
    """Minimise 1/2 x^T H x - (F b)^T x: `hessian` H and `forward` F, both (k, k); F None stands for the identity.

    `stops_early`: give up under the runtime's conditions, instead of continuing to the optimum. `unique`: H is far from
    singular, so that every way to the optimum ends at the same point.
    """

    hessian: np.ndarray
    forward: np.ndarray | None
    stops_early: bool
    unique: bool


def residual_problem(matrix: np.ndarray) -> Problem:
    """Minimise |A x - b|^2 for a symmetric `matrix` A (k, k), stopping where the runtime stops."""
    hessian = matrix.T @ matrix
    return Problem(hessian, matrix.T, True, bool(np.linalg.cond(hessian) < _UNIQUE))


def energy_problem(matrix: np.ndarray) -> Problem:
    """Minimise x^T A x - 2 b^T x for a symmetric positive `matrix` A (k, k)."""
    return Problem(matrix, None, False, bool(np.linalg.cond(matrix) < _UNIQUE))


def minimise(problem: Problem, b: np.ndarray, upper: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """The minimiser (k,) within 0 <= x <= upper (k,). A `guess` (k,) close to it makes this fast, no more.

    The runtime's rounds end at the optimum unless the numbers are so small (a mesh in metres) that its absolute
    thresholds cut them short. So where the optimum is unique and the numbers are large, the shortest way there will do.
    """
    H = problem.hessian
    h = b if problem.forward is None else problem.forward @ b
    scale = float(np.abs(h).max())
    if problem.unique and (scale > 1 or not problem.stops_early):
        x = _pivot(H, h, upper, guess, _ROUNDING * scale)
        if x is not None:
            return x
    return bounded_least_squares(problem, h, upper, _OPTIMAL if problem.stops_early else _ROUNDING * scale)


def _pivot(H: np.ndarray, h: np.ndarray, upper: np.ndarray, guess: np.ndarray, slack: float) -> np.ndarray | None:
    """Block pivoting: guess which bounds are active, solve the rest, exchange all that is wrong, until nothing is.

    Returns the optimum, or None when it has not settled after a few exchanges.
    """
    bound = np.where(guess <= 0, -1, np.where(guess >= upper, 1, 0))
    for _ in range(_PIVOTS):
        x = np.where(bound == 1, upper, 0.0)
        free = np.flatnonzero(bound == 0)
        x[free] = _solve_free(H, h, x, free)
        g = H @ x - h
        leave = np.where(x < 0, -1, np.where(x > upper, 1, 0))
        enter = g * bound > slack
        if not leave.any() and not enter.any():
            return x
        bound = np.where(enter, 0, np.where(leave != 0, leave, bound))
    return None


def bounded_least_squares(problem: Problem, h: np.ndarray, upper: np.ndarray, tolerance: float) -> np.ndarray:
    """From a clamped start, free one bound variable a round, until optimal; or as the runtime, until it gives up."""
    H = problem.hessian
    x, bound = _clamped_start(H, h, upper)
    g = H @ x - h
    violation, cost = _violation(g, bound), x @ (g - h)  # twice the cost, up to a constant
    for _ in range(len(x) if problem.stops_early else 10 * len(x)):
        if violation <= tolerance:
            break
        step, bound = _free_steepest(H, h, upper, x, bound, g)
        g = H @ step - h
        last_violation, last_cost = violation, cost
        violation, cost = _violation(g, bound), step @ (g - h)
        if cost > last_cost and not problem.stops_early:
            break  # rounding: the step before was as good as it gets
        x = step
        if problem.stops_early and (cost > last_cost or abs(violation - last_violation) < _STALLED):
            break
    return x


def _violation(g: np.ndarray, bound: np.ndarray) -> float:
    """How far a point is from optimal: the largest slope left to follow. `bound`: -1 at 0, 1 at upper, 0 free."""
    return float(np.where(bound == 0, np.abs(g), g * bound).max())


def _clamped_start(H: np.ndarray, h: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve without bounds, fix what lies outside at its bound, and again for the rest, until nothing lies outside."""
    x = np.zeros(len(h))
    bound = np.zeros(len(h), np.int8)
    free = np.arange(len(h))
    while len(free):
        z = _solve_free(H, h, x, free)
        low, high = z < 0, z > upper[free]
        x[free] = np.where(low, 0, np.where(high, upper[free], z))
        bound[free] = high.astype(np.int8) - low
        inside = ~(low | high)
        if inside.all():
            break
        free = free[inside]
    return x, bound


def _free_steepest(
    H: np.ndarray, h: np.ndarray, upper: np.ndarray, x: np.ndarray, bound: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One round: free the bound variable that promises most, then go to the optimum of the free ones.

    On the way each bound that is hit is kept, and the optimum of the others is sought from there.
    """
    x, bound = x.copy(), bound.copy()
    bound[np.argmax(g * bound)] = 0
    while True:
        free = np.flatnonzero(bound == 0)
        z = _solve_free(H, h, x, free)
        start, high = x[free], upper[free]
        outside = np.flatnonzero((z < 0) | (z > high))
        if len(outside) == 0:
            x[free] = z
            return x, bound
        target = np.where(z[outside] < 0, 0, high[outside])
        shares = (target - start[outside]) / (z[outside] - start[outside])
        first = np.argmin(shares)
        x[free] = start + shares[first] * (z - start)
        hit = free[outside[first]]
        x[hit] = target[first]
        bound[hit] = 1 if z[outside[first]] > 0 else -1


def _solve_free(H: np.ndarray, h: np.ndarray, x: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The unbounded optimum of the variables `free`, the others staying at x."""
    others = x.copy()
    others[free] = 0
    rows = H[free]
    try:
        return np.linalg.solve(rows[:, free], h[free] - rows @ others)
    except np.linalg.LinAlgError:  # indistinguishable poses, and no regularisation
        return np.linalg.lstsq(rows[:, free], h[free] - rows @ others)[0]
