"""Motion of bodies (.bvh, SMPL-X .npz) with its sound becomes a data set of skeletons, and of expressions beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.face import rotations
from audio2face.face.curves import skeleton_group
from audio2face.face.skeleton import values_from_pose, with_channels
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import CurveTable, curve_table
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.smplx import SKELETON, read_smplx
from audio2face.importing.curve_dataset import Motion, seconds_of, write_curve_dataset
from audio2face.importing.curve_shots import cut_shots, with_held
from audio2face.importing.cuts import usual_cut
from audio2face.importing.dataset import Written, check_target
from audio2face.importing.recordings import SHORTEST_S, usual_rate
from audio2face.importing.take_sounds import lay_sound, read_each
from audio2face.importing.takes import Take, find_takes
from audio2face.problems import raise_problems
from audio2face.types import Skeleton

MOTIONS = (".bvh", ".npz")
BODY, FACE = "body", "face"
STILL = 1e-6  # expressions that change less are left out

Groups = Mapping[str, CurveTable | Motion]


@dataclass(frozen=True)
class MotionOptions:
    """The motions to import, and how to read them. `fps` None: the motions' rate, at most 60.

    `motion_fps` is the rate of files that have none; `scale` is the factor on lengths, of offsets and positions.
    """

    inputs: tuple[Path, ...]
    sounds: Path | None = None
    fps: float | None = None
    motion_fps: float | None = None
    offset_s: float = 0.0
    sample_rate: int | None = None
    scale: float = 1.0


def import_motion(
    out: Path, options: MotionOptions, cut_s: float | None, anew: bool = False
) -> tuple[Written, float, list[str]]:
    """Write the data set of one actor to `out`: what was written, its rate, and lines of what was decided.

    Takes are cut into shots of about `cut_s` (0: not at all, None: few takes only). Raises UserError with everything that
    is wrong with motions and sounds at once.
    """
    check_target(out, anew)
    found, problems, notes = find_takes(options.inputs, options.sounds, MOTIONS)
    raise_problems(pointer_problems(path for take in found for path in (take.curves, take.sound)))
    takes, faults = read_each(found, lambda take: _read(take.curves, options))
    problems += faults + _other_skeletons(found, takes)
    raise_problems(problems)
    bodies = [groups[BODY] for groups in takes.values()]
    rates = {body.fps for body in bodies if body.fps}
    fps = options.fps or usual_rate(max(rates))
    notes += _notes(takes, fps)
    cut_s = usual_cut(list(map(seconds_of, bodies))) if cut_s is None else cut_s
    names: dict[str, list[str]] = {}
    sounds = (
        lay_sound(take, seconds_of(takes[take.name][BODY]), 0.0, None, options.offset_s, options.sample_rate, notes)
        for take in found
    )
    shots = cut_shots(found, takes, sounds, cut_s, names, notes)
    written = write_curve_dataset(out, shots, (BODY, FACE), fps, {"importer": "motion"}, anew)
    return with_held(written, names, cut_s, notes), fps, notes


def smplx_motion(axis_angle: np.ndarray, translation: np.ndarray, fps: float, scale: float = 1.0) -> Motion:
    """Turns (T, 55, 3) in radians and translations (T, 3) in metres of SMPL-X as a BVH's joints, lengths times `scale`."""
    skeleton = _scaled(with_channels(SKELETON), scale)
    places = np.broadcast_to(skeleton.offsets, (len(axis_angle), len(skeleton.joints), 3)).copy()
    places[:, 0] += scale * translation
    return Motion(skeleton, values_from_pose(skeleton, rotations.from_axis_angle(axis_angle), places), fps)


def _read(path: Path, options: MotionOptions) -> dict[str, CurveTable | Motion]:
    """The groups of one file. Raises ValueError naming it."""
    groups: dict[str, CurveTable | Motion] = {}
    if path.suffix.lower() == ".bvh":
        skeleton, values, frame_s = read_bvh(path)
        places = [name.endswith("position") for joint in skeleton.joints for name in joint.channels]
        factors = np.where(places, options.scale, 1.0)
        groups[BODY] = Motion(_scaled(skeleton, options.scale), values * factors, 1 / frame_s)
    else:
        motion = read_smplx(path)
        fps = motion.fps or options.motion_fps
        if fps is None:
            raise ValueError(f"{path}: it has no frame rate; pass --motion-fps, for example --motion-fps 30")
        groups[BODY] = smplx_motion(motion.axis_angle, motion.translation, fps, options.scale)
        if motion.expressions.size and np.ptp(motion.expressions, axis=0).max() > STILL:
            names = [f"expression_{k + 1}" for k in range(motion.expressions.shape[1])]
            times = np.arange(len(motion.expressions)) / fps
            groups[FACE] = curve_table(names, motion.expressions, fps, times_s=times, source="smplx", where=path)
    seconds = seconds_of(groups[BODY])
    if seconds < SHORTEST_S:
        raise ValueError(f"{path}: only {seconds:.2f} seconds of motion")
    return groups


def _scaled(skeleton: Skeleton, scale: float) -> Skeleton:
    """The skeleton with lengths times `scale`."""

    def times(offset: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = (float(scale * value) for value in offset)
        return x, y, z

    return Skeleton(
        tuple(replace(j, offset=times(j.offset), end=None if j.end is None else times(j.end)) for j in skeleton.joints)
    )


def _other_skeletons(found: list[Take], takes: Mapping[str, Groups]) -> list[str]:
    """A line for each take whose joints or channels are not those of the first."""
    lines = []
    first: tuple[Take, Skeleton] | None = None
    for take in found:
        body = takes[take.name][BODY] if take.name in takes else None
        if not isinstance(body, Motion):
            continue
        first = first or (take, body.skeleton)
        ours, its = (skeleton_group(BODY, s).blocks for s in (first[1], body.skeleton))
        if ours != its:
            which = next((j.name for j, k in zip(body.skeleton.joints, first[1].joints, strict=False) if j != k), "")
            near = f" (first at joint {which})" if which else ""
            lines.append(
                f"{take.curves}: its joints or channels are not those of {first[0].curves}{near}; import it as another actor"
            )
    return lines


def _notes(takes: Mapping[str, Groups], fps: float) -> list[str]:
    """What the motions hold."""
    bodies = [body for groups in takes.values() if isinstance(body := groups[BODY], Motion)]
    skeleton = bodies[0].skeleton
    rates = ", ".join(f"{rate:.4g}" for rate in sorted({body.fps for body in bodies}))
    notes = [f"group {BODY}: {len(skeleton.joints)} joints, {rates} frames a second"]
    if any(not np.allclose(body.skeleton.offsets, skeleton.offsets, atol=1e-3) for body in bodies):
        notes.append("the bones of takes have different lengths: the model has those of the first")
    faces = [groups[FACE] for groups in takes.values() if FACE in groups]
    if faces:
        values = faces[0].values
        notes.append(f"group {FACE}: {values.shape[1]} expressions")
    return notes
