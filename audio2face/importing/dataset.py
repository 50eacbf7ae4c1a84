"""A data set of one actor in the standard layout, written whole or not at all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio2face.formats.json_file import write_json
from audio2face.formats.npy import write_npy, write_npz
from audio2face.formats.sound import write_sound
from audio2face.geometry.rigid import rigid_motion
from audio2face.geometry.vertex_lists import Proposal, propose_lists
from audio2face.paths import atomic, replace_folder
from audio2face.problems import UserError
from audio2face.render.page import proposal_page

logger = logging.getLogger(__name__)

ABOUT = "import.json"  # marks a folder as one that an importer wrote
QUIET_SHARE = 0.15  # of a shot's frames: those with the least sound
MOTION_FRAMES = 400  # for the proposal of vertex lists
FRONT_SHARE = 1 / 3  # of the vertices are the face's front, for the solver of blendshapes
TONGUE_ROOT = 24  # vertices
RIGID_SHARE = 0.01  # of the tongue's size: a root that keeps its shape so well is rigid
OWN_ARRAYS = ("neutral", "poseNames", "frontalMask", "rig_version", "triangles")


@dataclass(frozen=True)
class MeshParts:
    """A mesh at rest (V, 3), its faces (F, 3) when known, and named blendshape deltas {name: (V, 3)}."""

    rest: np.ndarray
    triangles: np.ndarray | None = None
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class ActorParts:
    """What an actor has beside shots; None is not known."""

    skin: MeshParts
    tongue: MeshParts | None = None
    eye_close: np.ndarray | None = None
    lip_open: np.ndarray | None = None
    jaw_rest: np.ndarray | None = None
    blink_keys: np.ndarray | None = None
    saccades: np.ndarray | None = None


@dataclass(frozen=True)
class ShotParts:
    """One shot: skin (T, V, 3), samples (N, C) at `rate`; tongue (T, Vt, 3), jaw (T, 5, 3), eyes (T, 2, 2) or None.

    `opening` (T,) is how far the mouth is open (None: as far as the skin is from rest); `spans` are the frames (first,
    last) to train on, all of them when empty; `about` goes into import.json.
    """

    name: str
    skin: np.ndarray
    samples: np.ndarray
    rate: int
    tongue: np.ndarray | None = None
    jaw: np.ndarray | None = None
    eyes: np.ndarray | None = None
    opening: np.ndarray | None = None
    spans: tuple[tuple[int, int], ...] = ()
    about: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class WrittenShot:
    """A shot as written to the data set, and its frame with the mouth most closed (`opening`) while it is quiet."""

    name: str
    num_frames: int
    spans: tuple[tuple[int, int], ...]
    silent: int
    opening: float
    suffix: str = ".wav"  # of the sound


@dataclass(frozen=True)
class Written:
    """The written data set: shots, files by config key, what could not be proposed, and the poses' spread.

    `channels` are those to read of Maya caches with several, by config key. `groups` are groups of curves by name, of which
    `trained` are trained; `held` are the shots to measure on (none: the project's usual share). `audio_channels` are the
    channels of sounds by who speaks in them, where two do; `formats` are those of animations (none: the project's usual ones).
    """

    shots: tuple[WrittenShot, ...]
    files: dict[str, str]
    missing: tuple[str, ...]
    spread: float
    channels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    audio_channels: Mapping[str, int] = field(default_factory=dict)
    formats: tuple[str, ...] = ()


def write_dataset(
    folder: Path, actor: ActorParts, shots: Iterable[ShotParts], fps: float, about: Mapping[str, object], replace: bool
) -> Written:
    """Write an actor's folder; `shots` are made and written one by one. Raises UserError when it exists already.

    With `replace`, a folder that an importer wrote is replaced, and kept until the new one is complete.
    """
    return write_whole(folder, replace, lambda partial: _write(partial, actor, shots, fps, about))


def write_whole(folder: Path, replace: bool, write: Callable[[Path], Written]) -> Written:
    """What `write` writes into a folder beside it takes the place of `folder` when it is complete. As `write_dataset`."""
    check_target(folder, replace)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        written = write(partial)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written


def check_target(folder: Path, replace: bool) -> None:
    """Raises UserError unless the folder is absent, empty, or an importer's data set that is to be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / ABOUT).is_file():
        raise UserError(f"{folder} already exists and was not written by an importer; choose another folder (--out)")
    if not replace:
        raise UserError(f"{folder} already exists; choose another folder (--out), or pass --replace")


def _write(
    home: Path, actor: ActorParts, shots: Iterable[ShotParts], fps: float, about: Mapping[str, object]
) -> Written:
    files = {"AUDIO_ROOT": "audio", "SKIN_CACHE_ROOT": "cache/skin"}
    jaw: dict[str, np.ndarray] = {}
    eyes: dict[str, np.ndarray] = {}
    kept, motion, notes = [], [], []
    for shot in shots:
        write_npy(home / f"cache/skin/{shot.name}/{shot.name}.npy", shot.skin.astype(np.float32))
        (home / "audio").mkdir(exist_ok=True)
        write_sound(home / f"audio/{shot.name}.wav", shot.samples, shot.rate)
        if shot.tongue is not None:
            write_npy(home / f"cache/tongue/{shot.name}/{shot.name}.npy", shot.tongue.astype(np.float32))
            files["TONGUE_CACHE_ROOT"] = "cache/tongue"
        jaw |= {} if shot.jaw is None else {shot.name: shot.jaw.astype(np.float32)}
        eyes |= {} if shot.eyes is None else {shot.name: shot.eyes.astype(np.float32)}
        kept.append(written_shot(shot, actor.skin.rest, fps))
        motion.append(shot.skin[:: max(1, len(shot.skin) // 40)].astype(np.float32))
        notes.append({"shot": shot.name, "frames": len(shot.skin), "spans": shot.spans, **shot.about})
    if not kept:
        raise UserError("no shots to write")
    if jaw and actor.jaw_rest is not None:
        files |= _save(home, "xform/jaw_keypoints_neutral.npy", "JAW_KEYPOINTS_NEUTRAL_FPATH", actor.jaw_rest)
        write_npz(home / "xform/jaw_keypoints_cache_all.npz", jaw)
        files["JAW_ANIM_DATA_FPATH"] = "xform/jaw_keypoints_cache_all.npz"
    if eyes:
        write_npz(home / "xform/eye_rotations_all.npz", eyes)
        files["EYE_ANIM_DATA_FPATH"] = "xform/eye_rotations_all.npz"
    for name, key, table in (
        ("eye_blink_keys", "EYE_BLINK_KEYS_FPATH", actor.blink_keys),
        ("eye_saccade_rotations", "EYE_SACCADE_ROTATIONS_FPATH", actor.saccades),
    ):
        files |= {} if table is None else _save(home, f"xform/{name}.npy", key, table)
    files |= _write_geometry(home, actor) | _write_poses(home, actor)
    sample = np.concatenate(motion)
    sample = sample[np.unique(np.linspace(0, len(sample) - 1, min(len(sample), MOTION_FRAMES)).astype(int))]
    proposal = propose_lists(actor.skin.rest, sample, actor.eye_close, actor.lip_open)
    files |= write_lists(home, actor.skin, proposal)
    spread = spread_of(sample)
    write_json(home / ABOUT, {**about, "fps": fps, "shots": notes, "not_found": proposal.missing})
    return Written(tuple(kept), files, tuple(proposal.missing), spread)


def written_shot(shot: ShotParts, rest: np.ndarray, fps: float) -> WrittenShot:
    """What a project needs to know of a shot of a face at rest (V, 3)."""
    opening = shot.opening
    if opening is None:
        opening = np.sqrt(((shot.skin - rest) ** 2).sum(axis=(1, 2)))
    silent = quiet_frame(shot.samples, shot.rate, opening, fps)
    spans = shot.spans or ((0, len(shot.skin) - 1),)
    return WrittenShot(shot.name, len(shot.skin), spans, silent, float(opening[silent]))


def quiet_frame(samples: np.ndarray, rate: int, opening: np.ndarray, fps: float) -> int:
    """The frame with the mouth most closed, by `opening` (T,), of those in which samples (N, C) are the quietest."""
    loudness = np.abs(samples).max(axis=1)
    ends = (np.arange(len(opening) + 1) / fps * rate).astype(int)
    peaks = np.array([loudness[max(a - 800, 0) : b + 800].max(initial=0) for a, b in zip(ends, ends[1:], strict=False)])
    quiet = np.flatnonzero(peaks <= np.quantile(peaks, QUIET_SHARE))
    return int(quiet[opening[quiet].argmin()])


def _save(home: Path, name: str, key: str, array: np.ndarray) -> dict[str, str]:
    write_npy(home / name, np.asarray(array, np.float32))
    return {key: name}


def _write_geometry(home: Path, actor: ActorParts) -> dict[str, str]:
    files = _save(home, "geom/skin/neutral_pose.npy", "SKIN_NEUTRAL_FPATH", actor.skin.rest)
    if actor.eye_close is not None:
        name, key = "geom/skin/eye_close_pose_delta.npy", "SKIN_EYE_CLOSE_POSE_DELTA_FPATH"
        files |= _save(home, name, key, actor.eye_close)
    if actor.lip_open is not None:
        name, key = "geom/skin/lip_open_pose_delta.npy", "SKIN_LIP_OPEN_POSE_DELTA_FPATH"
        files |= _save(home, name, key, actor.lip_open)
    meshes = {"skin": actor.skin} | ({"tongue": actor.tongue} if actor.tongue else {})
    for kind, mesh in meshes.items():
        if mesh.triangles is not None and len(mesh.triangles):
            write_npy(home / f"geom/{kind}/triangles.npy", np.asarray(mesh.triangles, np.int32))
            files[f"{kind.upper()}_TRIANGLES_FPATH"] = f"geom/{kind}/triangles.npy"
    if actor.tongue:
        files |= _save(home, "geom/tongue/neutral_pose.npy", "TONGUE_NEUTRAL_FPATH", actor.tongue.rest)
        root = rigid_root(actor.tongue)
        if root is not None:
            write_json(home / "geom/tongue/rigid_vertex_list.json", root.tolist())
            files["TONGUE_RIGID_VERTEX_LIST_FPATH"] = "geom/tongue/rigid_vertex_list.json"
    return files


def rigid_root(tongue: MeshParts) -> np.ndarray | None:
    """Vertices (n,) at the back of a tongue that move rigidly in all its poses; None when they do not."""
    size = float(np.ptp(tongue.rest, axis=0).max())
    root = np.sort(np.argsort(tongue.rest[:, 2])[:TONGUE_ROOT])
    points = tongue.rest[root].astype(np.float64)
    widths = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if len(root) < 4 or widths[1] < 0.02 * size or not tongue.poses:
        return None
    moved = np.stack([points + delta[root] for delta in tongue.poses.values()])
    turns, shifts = rigid_motion(points, moved)
    error = np.abs(np.einsum("tij,pj->tpi", turns, points) + shifts[:, None] - moved).max()
    return root if error < RIGID_SHARE * size else None


def spread_of(poses: np.ndarray) -> float:
    """Usual distance of poses (n, V, 3) from their mean, over all coordinates."""
    return float(np.sqrt(((poses - poses.mean(axis=0)) ** 2).sum(axis=(1, 2)).mean()))


def write_lists(home: Path, skin: MeshParts, proposal: Proposal) -> dict[str, str]:
    """Write proposed lists and their picture below an actor's folder; returns the files by config key."""
    files = {}
    for name, content in proposal.lists().items():
        path = f"geom/skin/{name}_vertex_list.json"
        write_json(home / path, content)
        files[f"SKIN_{name.upper()}_VERTEX_LIST_FPATH"] = path
    page = proposal_page(skin.rest, proposal, "Proposed vertex lists", skin.triangles)
    with atomic(home / "geom/skin/proposed_lists.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return files


def _write_poses(home: Path, actor: ActorParts) -> dict[str, str]:
    files: dict[str, str] = {}
    meshes = {"skin": actor.skin} | ({"tongue": actor.tongue} if actor.tongue else {})
    for kind, mesh in meshes.items():
        poses = {name: delta for name, delta in mesh.poses.items() if name not in OWN_ARRAYS}
        if not any(np.any(delta) for delta in poses.values()):  # the runtime wants one that does something
            continue
        arrays: dict[str, np.ndarray] = {"poseNames": np.array(["neutral", *poses], "S"), "neutral": mesh.rest}
        arrays |= {name: np.asarray(delta, np.float32) for name, delta in poses.items()}
        if kind == "skin":
            front = np.argsort(-mesh.rest[:, 2])[: max(1, round(FRONT_SHARE * len(mesh.rest)))]
            arrays["frontalMask"] = np.sort(front).astype(np.int32)
        arrays["rig_version"] = np.array(["1"], "S")
        write_npz(home / f"bs_data/bs_{kind}.npz", arrays)
        write_json(home / f"bs_data/bs_{kind}_config.json", {"blendshape_params": _solver(poses, mesh.rest)})
        files |= {
            f"BLENDSHAPE_{kind.upper()}_FPATH": f"bs_data/bs_{kind}.npz",
            f"BLENDSHAPE_{kind.upper()}_CONFIG_FPATH": f"bs_data/bs_{kind}_config.json",
        }
    return files


def _solver(poses: Mapping[str, np.ndarray], rest: np.ndarray) -> dict[str, object]:
    """Solver settings: shapes that do nothing are off, left and right are drawn together."""
    names = list(poses)
    pairs = [-1] * len(names)
    for i, name in enumerate(names):
        other = name.replace("Left", "Right")
        if other != name and other in poses:
            pairs[i] = pairs[names.index(other)] = i
    return {
        "strengthL1regularization": 0.01,
        "strengthL2regularization": 0.02,
        "strengthTemporalSmoothing": 0.002,
        "strengthSymmetry": 0.02,
        "templateBBSize": max(1.0, round(float(np.linalg.norm(np.ptp(rest, axis=0))), 4)),
        "numPoses": len(names),
        "bsSolveActivePoses": [int(np.any(delta)) for delta in poses.values()],
        "bsSolveCancelPoses": [-1] * len(names),
        "bsSolveSymmetryPoses": pairs,
        "bsWeightMultipliers": [1.0] * len(names),
        "bsWeightOffsets": [0.0] * len(names),
    }
