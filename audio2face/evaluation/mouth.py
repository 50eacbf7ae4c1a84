"""The opening of the mouth over time, predicted against true. Pure NumPy.

`truth` and `prediction` are openings (T,) in data units, as `geometry.regions.mean_opening` of the lips' pairs gives
them; `mm` is millimetres per data unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.geometry.regions import opening_difference

CLOSED_SHARE = 0.1  # of the opening's range: below it a mouth counts as closed
SPOKEN_SHARE = 0.25
DTW_REACH_S = 0.25


def lip_closure_error_mm(truth: np.ndarray, prediction: np.ndarray, frames: np.ndarray, mm: float) -> float:
    """How far the predicted lips stay apart, beyond the true ones, where the mouth closes; millimetres.

    mean over `frames` (n,) of max(0, q_t - p_t); NaN without frames. The frames are those of m, b and p where phonemes
    are known (`spoken_closures`), else `closed_frames`.
    """
    if not len(frames):
        return float("nan")
    return float(np.maximum(-opening_difference(truth, prediction)[frames], 0).mean() * mm)


def closed_frames(opening: np.ndarray) -> np.ndarray:
    """Frames (n,) in which a mouth closes: local minima in the lowest CLOSED_SHARE of the range of an opening (T,).

    The range is that from the 1st to the 99th percentile. Nothing is returned for a mouth that does not move.
    """
    x = np.asarray(opening, np.float64)
    low, high = np.percentile(x, [1, 99])
    if len(x) < 3 or high <= low:
        return np.zeros(0, np.int64)
    inner = x[1:-1]
    closed = (inner <= x[:-2]) & (inner < x[2:]) & (inner <= low + CLOSED_SHARE * (high - low))
    return np.flatnonzero(closed) + 1


def spoken_closures(opening: np.ndarray, spans_s: Sequence[tuple[float, float]], fps: float) -> np.ndarray:
    """Frames (n,) in which a mouth of opening (T,) is closed for m, b and p, spoken during `spans_s` (start, end).

    Of each sound the frame with the smallest opening, since phoneme boundaries are only known to a frame or two; frame
    i is at (i + 0.5) / fps. Left out are sounds outside the T frames, and those in which the mouth does not reach the
    lowest SPOKEN_SHARE of its range: they were misrecognised, or spoken without closing.
    """
    low, high = np.percentile(opening, [1, 99])
    found = []
    for start, end in spans_s:
        first, last = int(np.ceil(start * fps - 0.5)), int(np.floor(end * fps - 0.5))
        if last < first:  # shorter than a frame: the nearest one
            first = last = int((start + end) / 2 * fps)
        if last >= 0 and first < len(opening):
            first, last = max(first, 0), min(last, len(opening) - 1)
            frame = first + int(np.argmin(opening[first : last + 1]))
            if opening[frame] <= low + SPOKEN_SHARE * (high - low):
                found.append(frame)
    return np.unique(np.array(found, np.int64))


def lip_distance_dtw_mm(truth: np.ndarray, prediction: np.ndarray, fps: float, mm: float) -> float:
    """Difference of the openings when each moment may be shifted a little; millimetres for each true frame.

    Dynamic time warping (Sakoe & Chiba 1978): the least sum of |p_i - q_j| along a path of steps (1, 0), (0, 1), (1, 1)
    from first to last frames with |i - j| within DTW_REACH_S, divided by the number of true frames.
    """
    a, b = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    reach = max(int(round(DTW_REACH_S * fps)), abs(len(a) - len(b)), 1)
    before = np.full(len(b) + 1, np.inf)
    before[0] = 0.0
    for i, value in enumerate(a):
        low, high = max(0, i - reach), min(len(b), i + reach + 1)
        cost = np.abs(value - b[low:high]).tolist()
        best = np.minimum(before[low:high], before[low + 1 : high + 1]).tolist()  # diagonal, from above
        now, last = np.full(len(b) + 1, np.inf), np.inf
        row = []
        for step, entry in zip(cost, best, strict=True):
            last = step + min(entry, last)
            row.append(last)
        now[low + 1 : high + 1] = row
        before = now
    return float(before[-1] / len(a) * mm)
