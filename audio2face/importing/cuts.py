"""Where long takes are cut into shots, so that some of one recording can be held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

FEW = 5  # takes: so many can be held out whole
SHOTS = 4  # at least, of all takes together
SHORTEST_S, LONGEST_S = 4.0, 10.0
REACH = 0.35  # of a shot's length, that a cut may be moved to find a pause
LEVEL_S = 0.01
PAUSE_S = 0.2  # that should be quiet around a cut
HELD_SHARE = 8  # one of so many shots of a take is held out
NOTHING_HELD = "nothing is held out to measure on: record more, or cut into shorter shots (--cut SECONDS)"


def usual_cut(lengths_s: Sequence[float]) -> float | None:
    """Seconds of the shots that few takes are cut into; None for enough takes to hold whole ones out."""
    if len(lengths_s) >= FEW:
        return None
    return float(np.clip(sum(lengths_s) / SHOTS, SHORTEST_S, LONGEST_S))


def cut_take(samples: np.ndarray, rate: int, seconds: float, cut_s: float | None) -> list[tuple[float, float]]:
    """First and last moment of each shot of a take with samples (N, C): about `cut_s` long, cut in pauses; None: the whole."""
    count = max(round(seconds / cut_s), 1) if cut_s else 1
    step = max(round(LEVEL_S * rate), 1)
    loud = np.abs(samples).max(axis=1) if len(samples) else np.zeros(0)
    level = np.array([loud[i : i + step].max() for i in range(0, len(loud), step)])
    width = max(round(PAUSE_S / LEVEL_S), 1)
    level = np.convolve(level, np.ones(width) / width, mode="same") if len(level) >= width else level
    edges = [0.0]
    for k in range(1, count):
        middle, reach = k * seconds / count, REACH * seconds / count
        first, last = (int((middle + way) / LEVEL_S) for way in (-reach, reach))
        part = level[first : last + 1]
        edges.append((first + int(part.argmin()) + 0.5) * LEVEL_S if len(part) else middle)
    return list(zip(edges, [*edges[1:], seconds], strict=True))


def held_out(shots: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Of the shots of every take {take: shots in order} the last ones of those cut into three or more."""
    held = (names[-max(len(names) // HELD_SHARE, 1) :] for names in shots.values() if len(names) > 2)
    return tuple(name for names in held for name in names)


def cut_notes(shots: Mapping[str, Sequence[str]], held: Sequence[str], cut_s: float | None) -> list[str]:
    """What was cut and what is held out, in words."""
    cut = [f"{take} into {len(names)} shots" for take, names in shots.items() if len(names) > 1]
    notes = [f"cut in pauses, about every {cut_s:.3g} s: {', '.join(cut)} (--cut 0: no cuts)"] if cut else []
    if held:
        return [*notes, f"held out of training, to measure on: {', '.join(held)} (VALIDATION_CLIPS)"]
    return [*notes, NOTHING_HELD] if sum(map(len, shots.values())) < FEW else notes
