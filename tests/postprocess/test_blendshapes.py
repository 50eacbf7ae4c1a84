"""The blendshape solve: recovery, other solvers' answers, each term of its problem, and pieces against the whole."""

import numpy as np
import pytest

from audio2face.postprocess import blendshapes, box_solver
from audio2face.problems import UserError

RNG = np.random.default_rng(11)
NEUTRAL = RNG.normal(0, 5, (30, 3)).astype(np.float32)
CHUNKS = [1, 2, 3, 7, 40]


def in_chunks(step, frames, size):
    """Run `step(frames, state)` over pieces of `size` frames and join the first results."""
    state, parts = None, []
    for first in range(0, len(frames), size):
        part, state = step(frames[first : first + size], state)
        parts.append(part)
    return np.concatenate(parts)


def random_problem(k, rng):
    deltas = rng.normal(size=(k, 3 * k))
    return deltas @ deltas.T + 0.5 * np.eye(k), rng.normal(0, 3, k) * k


@pytest.mark.parametrize("build", [box_solver.residual_problem, box_solver.energy_problem])
def test_solution_satisfies_the_optimality_conditions_on_either_way(build):
    rng = np.random.default_rng(3)
    for k in (1, 2, 9, 30):
        matrix, b = random_problem(k, rng)
        problem, upper = build(matrix), rng.choice([1.0, 1e-10, 0.3], k)
        right = matrix @ b if problem.forward is not None else b
        slow = box_solver.bounded_least_squares(problem, right, upper, 1e-9)
        for guess in (np.zeros(k), upper, rng.uniform(0, 1, k)):
            x = box_solver.minimise(problem, b, upper, guess)
            slope = problem.hessian @ x - right
            assert (x >= 0).all() and (x <= upper).all()
            inside = (x > 0) & (x < upper)
            assert np.abs(slope[inside]).max(initial=0) < 1e-6 * k
            assert (slope[x == 0] > -1e-6).all() and (slope[x == upper] < 1e-6).all()
            np.testing.assert_allclose(x, slow, atol=1e-9)


def params(num_poses, **changes):
    base = {
        "strengthL1regularization": 0.0, "strengthL2regularization": 0.0, "strengthTemporalSmoothing": 0.0,
        "strengthSymmetry": 0.0, "templateBBSize": 20.0, "numPoses": num_poses,
        "bsSolveActivePoses": [1] * num_poses, "bsSolveCancelPoses": [-1] * num_poses,
        "bsSolveSymmetryPoses": [-1] * num_poses, "bsWeightMultipliers": [1.0] * num_poses,
        "bsWeightOffsets": [0.0] * num_poses,
    }  # fmt: skip
    return base | changes


POSES = RNG.normal(size=(5, 30, 3))


def mix(weights):
    return NEUTRAL + np.einsum("tp,pvc->tvc", np.asarray(weights, float), POSES)


@pytest.mark.parametrize("method", list(blendshapes.SOLVERS))
def test_weights_of_a_mixed_face_are_recovered(method):
    true = RNG.uniform(0, 1, (6, 5))
    weights, _ = blendshapes.solve(blendshapes.build(params(5), NEUTRAL, POSES, method=method), mix(true))
    np.testing.assert_allclose(weights, true, atol=1e-5)
    mask = np.array([3, 4, 5, 20, 21, 22, 23], np.int32)
    weights, _ = blendshapes.solve(blendshapes.build(params(5), NEUTRAL, POSES, mask, method), mix(true))
    np.testing.assert_allclose(weights, true, atol=1e-5)


def test_the_two_problems_are_what_they_say():
    p = params(5, strengthL1regularization=1.3, strengthL2regularization=2.0, strengthTemporalSmoothing=0.7)
    frame = mix([[1.5, -0.5, 0.2, 0.4, 0.9]])
    s = np.square(np.ptp(NEUTRAL, axis=0).astype(float)).sum() / 20.0**2
    d = POSES.reshape(5, -1)
    matrix = d @ d.T + 1.3**2 * 0.25 * s + (2.0 * 10 + 0.7 * 100) * s * np.eye(5)
    previous = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    b = d @ (frame - NEUTRAL).ravel() + 0.7 * s * previous
    from scipy.optimize import lsq_linear

    expected = {
        "runtime": lsq_linear(matrix, b, (0, 1), method="bvls", tol=1e-12).x,
        "optimal": lsq_linear(np.linalg.cholesky(matrix).T, np.linalg.solve(np.linalg.cholesky(matrix), b), (0, 1)).x,
    }
    for method, answer in expected.items():
        solver = blendshapes.build(p, NEUTRAL, POSES, method=method)
        np.testing.assert_allclose(blendshapes.solve(solver, frame, previous)[0][0], answer, atol=1e-6)


def test_symmetry_pulls_a_pair_together():
    solver = blendshapes.build(params(5, strengthSymmetry=1e6, bsSolveSymmetryPoses=[7, 7, -1, -1, -1]), NEUTRAL, POSES)
    weights, _ = blendshapes.solve(solver, mix([[0.9, 0.1, 0.5, 0.5, 0.5]]))
    assert weights[0, 0] == pytest.approx(weights[0, 1], abs=1e-4)


@pytest.mark.parametrize("marks", [[4, -1, 4, -1, -1], [1, -1, 2, -1, 1]])
def test_of_a_cancel_pair_the_stronger_stays(marks):
    """Two poses with the same mark are a pair; so are exactly two that carry -1, which the runtime does not exclude."""
    first, second = (0, 2) if marks[0] == 4 else (0, 4)
    changes = {"bsSolveCancelPoses": marks}
    weights, _ = blendshapes.solve(
        blendshapes.build(params(5, **changes), NEUTRAL, POSES), mix([[0.3, 0.4, 0.8, 0.2, 0.6]])
    )
    assert weights[0, first] <= 2e-10 and weights[0, second] > 0.5
    if marks[0] == 1:  # poses 1 and 3
        assert weights[0, 3] <= 2e-10 < weights[0, 1]


def test_ties_of_a_cancel_pair_go_to_the_first():
    poses = np.zeros((2, 30, 3))
    poses[0, 0, 0] = poses[1, 1, 0] = 1
    solver = blendshapes.build(params(2, bsSolveCancelPoses=[3, 3]), NEUTRAL, poses)
    frame = NEUTRAL.astype(float)[None] + 0.5 * (poses[0] + poses[1])
    assert blendshapes.solve(solver, frame)[0][0] == pytest.approx([0.5, 0], abs=1e-6)


def test_inactive_poses_get_their_offset_only():
    p = params(5, bsSolveActivePoses=[1, 0, 1, 0.5, 1], bsWeightMultipliers=[2] * 5, bsWeightOffsets=[0.1] * 5)
    weights, state = blendshapes.solve(blendshapes.build(p, NEUTRAL, POSES), mix([[0.4, 0, 0.6, 0, 0.2]]))
    np.testing.assert_allclose(weights[0], [0.9, 0.1, 1.3, 0.1, 0.5], atol=1e-5)
    np.testing.assert_allclose(state, [0.4, 0.6, 0.2], atol=1e-5)  # before multipliers and offsets


def test_poses_that_cannot_be_told_apart_are_still_solved():
    same = np.repeat(POSES[:1], 3, axis=0)
    weights, _ = blendshapes.solve(blendshapes.build(params(3), NEUTRAL, same), mix([[1.5, 0, 0, 0, 0]]))
    assert weights.sum() == pytest.approx(1.5, abs=1e-4) and weights.max() <= 1 and weights.min() >= 0


@pytest.mark.parametrize("method", list(blendshapes.SOLVERS))
@pytest.mark.parametrize("size", CHUNKS)
def test_weights_in_pieces_equal_weights_at_once(size, method):
    p = params(5, strengthTemporalSmoothing=0.5, strengthL2regularization=0.1, bsSolveCancelPoses=[2, 2, -1, -1, -1])
    solver = blendshapes.build(p, NEUTRAL, POSES, method=method)
    frames = mix(RNG.normal(0.4, 0.6, (40, 5))).astype(np.float32)
    pieces = in_chunks(lambda x, s: blendshapes.solve(solver, x, s), frames, size)
    np.testing.assert_array_equal(pieces, blendshapes.solve(solver, frames)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bsWeightOffsets": [0.0] * 4}, "bsWeightOffsets"),
        ({"numPoses": 4}, "numPoses is 4"),
        ({"strengthSymmetry": -1}, ">= 0"),
        ({"templateBBSize": 0.5}, "templateBBSize"),
        ({"bsSolveActivePoses": [0.5] * 5}, "active"),
        ({"bsSolveActivePoses": None}, "bsSolveActivePoses"),
    ],
)
def test_wrong_blendshape_params_are_explained(changes, message):
    with pytest.raises(ValueError, match=message):
        blendshapes.build(params(5, **changes), NEUTRAL, POSES)


def test_wrong_arrays_and_names_are_explained():
    with pytest.raises(ValueError, match="strengthSymmetry"):
        blendshapes.build({k: v for k, v in params(5).items() if k != "strengthSymmetry"}, NEUTRAL, POSES)
    with pytest.raises(ValueError, match="4 blendshape poses"):
        blendshapes.build(params(5), NEUTRAL, POSES[:4])
    with pytest.raises(ValueError, match="vertex"):
        blendshapes.build(params(5), NEUTRAL, POSES, np.array([30]))
    with pytest.raises(UserError, match="runtime, optimal"):
        blendshapes.build(params(5), NEUTRAL, POSES, method="best")
