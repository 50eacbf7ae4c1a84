"""What is odd in curves: units, values that never change, still stretches, jumps, times against the rate, lost frames, sync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from audio2face.dataset.curve_kinds import HIGHEST_WEIGHT, PERCENT
from audio2face.face.body_skin import bind
from audio2face.face.curves import CurveGroup
from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.curve_rows import rate_from
from audio2face.formats.curve_table import CurveTable
from audio2face.listing import shortened
from audio2face.problems import STRUCTURE, Problems

if TYPE_CHECKING:
    from audio2face.dataset.captured import CapturedGroup
    from audio2face.formats.body_mesh import BodyMesh

KEY = "CURVES_ROOT"
LOWEST_WEIGHT = -0.2
BYTES = 260.0
HALF_TURN = 1.05 * np.pi  # no head or eye turns further
FROZEN_S = 1.0
FAR = 3.0  # times the step that 99 of 100 stay below; in recordings the largest is up to 2.4 times that
LEAST_JUMP = 0.5  # standard deviations
SHORTEST_JUMPS = 60  # frames from which steps have a distribution
OFF_RATE = 5e-4  # of the rate: 30 ms in a minute
MUCH_MISSING = 0.2
SHOWN = 5  # of a list


def check_table(problems: Problems, group: CurveGroup, shot: str, table: CurveTable) -> None:
    """Add what is odd in one shot's table of a group, rules "curves.range" (an error), ".negative", ".unit", ".missing", ".frozen", ".jumps", ".rate"."""
    where = {"shot": shot, "key": KEY}
    levels = {"rate": problems.info, "range": problems.error}
    for rule, what, fix in [
        *_ranges(group, table),
        *_missing(table),
        *_frozen(table),
        *_jumps(group, table),
        *_rate(table),
    ]:
        levels.get(rule, problems.warning)(f"curves.{rule}", f"{group.name}: {what}", fix, **where)


def check_groups(problems: Problems, tables: Mapping[str, Mapping[str, CurveTable]]) -> None:
    """Add columns {group: {shot: table}} that have one value in all shots, as rule "curves.constant"."""
    for group, shots in tables.items():
        still = constant_columns(shots)
        if still:
            what = f"{group}: {len(still)} column(s) have the same value in all {len(shots)} shot(s): {shortened(still, SHOWN)}."
            problems.info(
                "curves.constant", what, "They are learned as constants; leave them out if nobody needs them.", key=KEY
            )


def check_body_mesh(problems: Problems, body: BodyMesh | None, groups: Mapping[str, CapturedGroup]) -> None:
    """Add a mesh that no group's skeleton moves, for want of bones of the same names."""
    skeletons = [captured.group.skeleton for captured in groups.values() if captured.group.skeleton is not None]
    if body is None or any(bind(body, skeleton) for skeleton in skeletons):
        return
    joints = f", the skeleton's joints {', '.join(skeletons[0].names[:SHOWN])}, …" if skeletons else ""
    what = f"BODY_MESH_FPATH: its bones are called {', '.join(body.names[:SHOWN])}, …{joints}: hardly any have the same name"
    told = what if skeletons else "BODY_MESH_FPATH: no group of CURVES_ROOT has a skeleton (.bvh) that could move it"
    problems.error(STRUCTURE, told, "Rename the bones as the joints, or leave the key out.", key="BODY_MESH_FPATH")


def constant_columns(tables: Mapping[str, CurveTable]) -> tuple[str, ...]:
    """Columns whose known values are equal in all shots, in order; those that are never known too."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for table in tables.values():
        for name, values, valid in zip(table.names, table.values.T, table.valid.T, strict=True):
            low[name] = min(low.get(name, np.inf), float(values.min(initial=np.inf, where=valid)))
            high[name] = max(high.get(name, -np.inf), float(values.max(initial=-np.inf, where=valid)))
    return tuple(name for name in low if low[name] >= high[name])


def frozen_stretches(table: CurveTable, fps: float) -> list[tuple[int, int]]:
    """First and last frame of every stretch of more than a second in which no known value changes; lost frames end it."""
    same = (table.values[1:] == table.values[:-1]).all(axis=1) & (table.valid[1:] == table.valid[:-1]).all(axis=1)
    same &= table.valid[1:].any(axis=1)
    return [(a, b) for a, b in _runs(same) if b - a > FROZEN_S * fps]


def jumps(group: CurveGroup, table: CurveTable) -> np.ndarray:
    """Frames (n,) whose step from the frame before is far outside those of the shot, in most columns or altogether.

    Steps are of encoded values, so that an angle that passes half a turn does not jump, in standard deviations of a column.
    """
    places = [table.names.index(name) if name in table.names else -1 for name in group.names]
    present = np.array(places) >= 0
    encoded, known = group.encode(table.values[:, places], table.valid[:, places] & present)
    spread = encoded.std(axis=0) if len(encoded) else np.zeros(group.size)
    used = spread > 1e-5
    pairs = (known[1:] & known[:-1])[:, used]
    if len(encoded) < SHORTEST_JUMPS or not pairs.any():
        return np.zeros(0, np.int64)
    steps = np.where(pairs, np.abs(np.diff(encoded[:, used], axis=0)) / spread[used], np.nan)
    steps = np.where(pairs.any(axis=1)[:, None], steps, 0.0)
    found = np.zeros(len(steps), bool)
    for size in (np.nanmedian(steps, axis=1), np.sqrt(np.nanmean(steps**2, axis=1))):
        found |= (size > FAR * np.quantile(size, 0.99)) & (size > LEAST_JUMP)
    return np.flatnonzero(found) + 1


def share_missing(table: CurveTable) -> float:
    """The share of values that are missing, 0 to 1."""
    return 1.0 - float(table.valid.mean()) if table.valid.size else 1.0


def jaw_openings(groups: Iterable[CapturedGroup]) -> dict[str, np.ndarray]:
    """How far the mouth is open in every shot with a curve jawOpen, at the shot's frames {shot: (T,)}; lost values are bridged.

    Shots in which it is never known are left out.
    """
    found: dict[str, np.ndarray] = {}
    for captured in groups:
        columns = [values for block, _, values in captured.group.places() if "jawOpen" in block.names]
        if not columns:
            continue
        place = columns[0].start + next(b.names.index("jawOpen") for b in captured.group.blocks if "jawOpen" in b.names)
        for shot, curves in captured.shots.items():
            if curves.known[:, place].any():
                found.setdefault(shot, curves.values[:, place])
    return found


Finding = tuple[str, str, str]  # rule, what, fix


def _ranges(group: CurveGroup, table: CurveTable) -> list[Finding]:
    found = []
    peaks: dict[str, tuple[float, str]] = {}  # of all angles of a unit, and whose
    for block in group.blocks:
        names = [name for name in block.names if name in table.names]
        columns = [table.names.index(name) for name in names]
        values = np.where(table.valid[:, columns], table.values[:, columns], 0)
        if not values.size:
            continue
        if block.kind == "weights" or all(arkit_name(name) for name in names):
            found += _weights(names, values, block.high)
        elif block.kind in ("rotation", "angle") and block.unit and not group.skeleton and not _says_unit(names):
            place = int(np.abs(values).max(axis=0).argmax())
            peak = float(np.abs(values[:, place]).max()), names[place]
            peaks[block.unit] = max(peak, peaks.get(block.unit, peak))
    return [*found, *_angles(peaks)]


def _says_unit(names: list[str]) -> bool:
    """Whether the columns themselves name the unit of their angles; such ones may turn on and on."""
    return all(name.lower().endswith(("_rad", "_radians", "_deg", "_degrees")) for name in names)


def _weights(names: list[str], values: np.ndarray, high: float | None) -> list[Finding]:
    name, peak = names[int(values.max(axis=0).argmax())], float(values.max())
    whole = high or 1.0
    found = []
    if peak > HIGHEST_WEIGHT * whole:
        units = (("percent", 100, PERCENT), ("bytes", 255, BYTES))
        full, unit = next(((full, unit) for unit, full, most in units if peak <= most), (0, "not weights"))
        what = f"weights up to {peak:.4g} ({name}), where {whole:g} is the whole shape: they look like {unit}."
        scale = f"Divide them by {full} (import_live_link.py --scale 1/{full}), or give" if full else "Give"
        found.append(("range", what, f"{scale} their bounds in CURVES_KIND (low, high); above {whole:g} is cut."))
    name, least = names[int(values.min(axis=0).argmin())], float(values.min())
    if least < LOWEST_WEIGHT * whole:
        found.append(("negative", f"weights down to {least:.4g} ({name}).", "Below 0 is cut; check their calibration."))
    return found


def _angles(peaks: Mapping[str, tuple[float, str]]) -> list[Finding]:
    """Of the largest angle of each unit {"degrees": (angle, column)}: whether it can be in this unit."""
    found = []
    for unit, (peak, name) in peaks.items():
        if unit == "radians" and peak > HALF_TURN:
            what = f"turns of up to {peak:.3g} radians ({name}), more than half a turn."
            found.append(("unit", what, "Degrees? Say so in CURVES_KIND."))
        elif unit == "degrees" and 0 < peak < HALF_TURN / 2:
            what = f"no turn of more than {peak:.3g} degrees ({name})."
            found.append(("unit", what, "Radians? Say so in CURVES_KIND."))
    return found


def _missing(table: CurveTable) -> list[Finding]:
    share, rows = share_missing(table), int((~table.valid.any(axis=1)).sum())
    if share <= MUCH_MISSING:
        return []
    what = f"{100 * share:.0f}% of the values are missing ({rows} of {len(table.values)} frames have none)."
    return [("missing", what, "What is missing is not trained on; leave the shot out if the face was lost.")]


def _frozen(table: CurveTable) -> list[Finding]:
    fps = table.fps or (rate_from(table.times_s) if table.times_s is not None else None) or 30.0
    found = frozen_stretches(table, fps)
    if not found:
        return []
    what = f"no value changes in frames {shortened([f'{a}-{b}' for a, b in found], SHOWN)}."
    return [("frozen", what, "The tracker stood still: list these frames in <shot>_missing.npy, or cut them out.")]


def _jumps(group: CurveGroup, table: CurveTable) -> list[Finding]:
    frames = jumps(group, table)
    if not len(frames):
        return []
    what = f"{len(frames)} jump(s), at frame {shortened(list(map(str, frames.tolist())), SHOWN)}."
    return [("jumps", what, "A cut or a lost face? List bad frames in <shot>_missing.npy, or split the shot there.")]


def _rate(table: CurveTable) -> list[Finding]:
    times, fps = table.times_s, table.fps
    if times is None or fps is None or len(times) < 2 or times[-1] <= times[0]:
        return []
    steps = np.diff(times)
    near = steps[steps < 1.6 * np.median(steps)]
    rate = 1 / float(near.mean())
    lost = int((np.rint(steps * rate) - 1).clip(0).sum())
    found = []
    if abs(rate / fps - 1) * (times[-1] - times[0]) * fps > 1 and abs(rate / fps - 1) > OFF_RATE:
        what = f"by their times, rows come {rate:.5g} a second, not {fps:.5g}: after {times[-1]:.0f} s that makes"
        off = abs(rate / fps - 1) * (times[-1] - times[0])
        found.append(
            ("rate", f"{what} {off:.2f} s.", "Frames are placed by their times; do not state a rate (CURVES_FPS).")
        )
    if lost > MUCH_MISSING * len(times):
        found.append(
            (
                "missing",
                f"{lost} frames have no row, by the times of the others.",
                "Record them again, or leave the shot out.",
            )
        )
    return found


def _runs(same: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of every run of steps (T - 1,) that are True."""
    found, place = [], 0
    for value, group in groupby(same.tolist()):
        length = len(list(group))
        if value:
            found.append((place, place + length))
        place += length
    return found
