"""Everything that preprocessing reads, found and checked before any work is done: all problems are told at once.

Called by `commands.preproc` and `doctor`; next: `preproc`, which computes from what was found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audio2face.dataset.caches import Cache, find_caches, frame_rate
from audio2face.dataset.files import DatasetFiles, check_path, not_fetched, read_vertices
from audio2face.dataset.shots import shot_emotions
from audio2face.face.topology import Topology
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npz
from audio2face.formats.sound import sound_info
from audio2face.paths import external_path, local_path
from audio2face.postprocess.jaw import key_point_problem
from audio2face.preproc.blendshapes import ready_blendshapes
from audio2face.preproc.bundle import RestData
from audio2face.problems import UserError, raise_problems
from audio2face.types import SAMPLE_RATE, Shot

if TYPE_CHECKING:
    from audio2face.config import Section

logger = logging.getLogger(__name__)

TOLERATED_SOUND_GAP_S = 0.5
T = TypeVar("T")


@dataclass
class Inputs:
    """What a run reads. `skin` are the caches to express, `choosing` those to choose poses from, perhaps coarser ones."""

    files: DatasetFiles
    skin: dict[str, Cache]
    choosing: dict[str, Cache]
    tongue: dict[str, Cache]
    shots: list[Shot]
    prune_vertices: np.ndarray | None = None
    rigid_vertices: np.ndarray | None = None
    skin_neutral: np.ndarray | None = None
    tongue_neutral: np.ndarray | None = None
    rest: RestData = field(default_factory=RestData)
    blendshapes: dict[str, tuple[dict[str, np.ndarray], Any]] = field(default_factory=dict)
    topology: Topology = field(default_factory=Topology)


def build_inputs(dataset: Section, preproc: Section, actor: str) -> Inputs:
    """Find and check the data of `actor`. Raises UserError with every problem there is."""
    checks = _Checks()
    files = DatasetFiles.from_config(dataset, actor)
    assert files.skin_cache_root is not None
    raise_problems(not_fetched(files))
    skin = checks.caches(
        files.skin_cache_root,
        "SKIN_CACHE_ROOT",
        preproc.SKIN_CACHE_SHOTS.get(actor),
        "SKIN_CACHE_SHOTS",
        files.skin_cache_channel,
    )
    coarse = preproc.SKIN_PRUNE_CACHE_ROOT.get(actor)
    wanted = preproc.SKIN_PRUNE_CACHE_SHOTS.get(actor)
    choosing = _choosing(
        checks, skin, coarse and local_path(coarse), wanted, preproc.SKIN_PRUNE_CACHE_CHANNEL.get(actor), actor
    )
    tongue: dict[str, Cache] = {}
    if files.tongue_cache_root:
        wanted = preproc.TONGUE_CACHE_SHOTS.get(actor)
        tongue = checks.caches(
            files.tongue_cache_root, "TONGUE_CACHE_ROOT", wanted, "TONGUE_CACHE_SHOTS", files.tongue_cache_channel
        )
        tongue = _with_skin(checks, tongue, skin)
    fps, problems = frame_rate(skin, dataset.CACHE_FPS.get(actor), actor)
    checks.problems += problems + frame_rate(tongue, fps, actor)[1]
    emotions, problems = shot_emotions(
        actor, list(skin), dataset.SHOT_EMOTION_NAMES, dataset.SHOT_EMOTION_MAP, files.shots()
    )
    checks.problems += problems
    shots = [Shot(actor, c.shot, c.num_frames, fps, emotions[c.shot]) for c in skin.values()]
    inputs = Inputs(files, skin, choosing, tongue, shots)
    _read_rest(checks, inputs)
    mask = preproc.SKIN_PRUNE_MESH_MASK_FPATH.get(actor)
    if mask is not None:
        inputs.prune_vertices = _prune_vertices(checks, local_path(mask), actor, num_vertices(choosing))
    _read_blendshapes(checks, inputs)
    counts = num_vertices(skin), num_vertices(tongue)
    inputs.topology = checks.read(files.topology, *counts, float(dataset.UNITS_PER_METRE)) or Topology()
    _check_motion(checks, inputs)
    _check_sound(checks, inputs)
    raise_problems(checks.problems)
    return inputs


class _Checks:
    """Problems found so far; `read` turns a loader's error into one."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, load: Callable[..., T], *arguments: Any) -> T | None:
        """What `load` gives, or None when it fails."""
        try:
            return load(*arguments)
        except UserError as error:
            self.problems += error.lines
        except (OSError, ValueError) as error:
            self.problems.append(str(error))
        return None

    def caches(
        self, root: Path, key: str, shots: list[str] | None, shots_key: str, channel: str | None
    ) -> dict[str, Cache]:
        """As `find_caches`."""
        found, problems = find_caches(root, key, shots, shots_key, channel)
        self.problems += problems
        return found

    def vertices(self, array: np.ndarray | None, count: int | None, key: str) -> np.ndarray | None:
        """`array` (V, 3), which must have as many vertices as the caches."""
        if array is not None and count is not None and len(array) != count:
            self.problems.append(f"{key}: {len(array)} vertices, but the caches have {count}")
        return array

    def indices(self, array: np.ndarray | None, count: int | None, key: str) -> np.ndarray | None:
        """`array` (n,), which must be vertices of the caches."""
        if array is not None and count is not None and array.max() >= count:
            self.problems.append(
                f"{key}: vertex {int(array.max())} does not exist; the mesh has vertices 0 to {count - 1}"
            )
        return array


def num_vertices(caches: Mapping[str, Cache]) -> int | None:
    """Vertices of a mesh by its caches; None without any."""
    return next((cache.num_vertices for cache in caches.values()), None)


def _choosing(
    checks: _Checks,
    skin: dict[str, Cache],
    coarse: Path | None,
    shots: list[str] | None,
    channel: str | None,
    actor: str,
) -> dict[str, Cache]:
    """The caches to choose poses from: coarser ones when given, of some of the shots when listed."""
    if coarse is None:
        missing = [shot for shot in shots or () if shot not in skin]
        checks.problems += [f"SKIN_PRUNE_CACHE_SHOTS: shot {s!r} is not among the skin shots used" for s in missing]
        return {shot: cache for shot, cache in skin.items() if shots is None or shot in shots}
    faults = check_path(coarse, "SKIN_PRUNE_CACHE_ROOT", actor, folder=True) or pointer_problems([coarse])
    checks.problems += faults
    if faults:
        return {}
    caches = checks.caches(coarse, "SKIN_PRUNE_CACHE_ROOT", shots, "SKIN_PRUNE_CACHE_SHOTS", channel)
    for shot, cache in caches.items():
        if shot not in skin and shots is not None:
            checks.problems.append(f"SKIN_PRUNE_CACHE_SHOTS: shot {shot!r} is not among the skin shots used")
        elif shot in skin and cache.num_frames != skin[shot].num_frames:
            counts = f"{cache.num_frames} frames, SKIN_CACHE_ROOT {skin[shot].num_frames}"
            checks.problems.append(f"SKIN_PRUNE_CACHE_ROOT: shot {shot} has {counts}; they must be equal")
    used = {shot: cache for shot, cache in caches.items() if shot in skin}
    if caches and not used:
        checks.problems.append(f"SKIN_PRUNE_CACHE_ROOT ({external_path(coarse)}): none of its shots is a skin shot")
    return used


def _with_skin(checks: _Checks, tongue: dict[str, Cache], skin: dict[str, Cache]) -> dict[str, Cache]:
    for shot in tongue.keys() & skin.keys():
        if tongue[shot].num_frames != skin[shot].num_frames:
            counts = f"{tongue[shot].num_frames} frames, the skin cache {skin[shot].num_frames}"
            checks.problems.append(f"TONGUE_CACHE_ROOT: shot {shot} has {counts}; they must be equal")
    without = [shot for shot in skin if shot not in tongue]
    alone = [shot for shot in tongue if shot not in skin]
    if without:
        logger.warning("%d shot(s) have no tongue cache: %s", len(without), ", ".join(without))
    if alone:
        logger.warning("%d tongue shot(s) have no skin and are not used: %s", len(alone), ", ".join(alone))
    return {shot: cache for shot, cache in tongue.items() if shot in skin}


def _read_rest(checks: _Checks, inputs: Inputs) -> None:
    """Fill in neutral geometry and vertex lists, checked against the meshes."""
    files, read = inputs.files, checks.read
    skin, tongue = num_vertices(inputs.skin), num_vertices(inputs.tongue)

    def on_skin(load: Callable[[], np.ndarray | None], key: str) -> np.ndarray | None:
        return checks.vertices(read(load), skin, key)

    def on_tongue(load: Callable[[], np.ndarray | None], key: str) -> np.ndarray | None:
        return checks.vertices(read(load), tongue, key)

    inputs.skin_neutral = on_skin(files.skin_neutral, "SKIN_NEUTRAL_FPATH")
    inputs.tongue_neutral = on_tongue(files.tongue_neutral, "TONGUE_NEUTRAL_FPATH")
    inputs.rest = RestData(
        on_skin(files.skin_neutral_inference, "SKIN_NEUTRAL_INFERENCE_FPATH"),
        on_tongue(files.tongue_neutral_inference, "TONGUE_NEUTRAL_INFERENCE_FPATH"),
        on_skin(files.lip_open_pose_delta, "SKIN_LIP_OPEN_POSE_DELTA_FPATH"),
        on_skin(files.eye_close_pose_delta, "SKIN_EYE_CLOSE_POSE_DELTA_FPATH"),
        read(files.jaw_neutral),
        read(files.blink_keys),
        read(files.saccades),
    )
    if inputs.rest.jaw_neutral is not None and (weakness := key_point_problem(inputs.rest.jaw_neutral)):
        path = external_path(files.jaw_keypoints_neutral_fpath or "")
        checks.problems.append(f"JAW_KEYPOINTS_NEUTRAL_FPATH {path}: {weakness}")
    inputs.rigid_vertices = read(files.tongue_rigid_vertices, tongue) if tongue else None
    if inputs.tongue and inputs.rigid_vertices is not None and files.tongue_neutral_fpath is None:
        checks.problems.append(
            "TONGUE_RIGID_VERTEX_LIST_FPATH needs TONGUE_NEUTRAL_FPATH, onto which the tongue is aligned"
        )
    for name in ("lip_dist", "lip_size", "eye_dist"):
        pairs = read(getattr(files, f"{name}_pairs"))
        checks.indices(np.concatenate(pairs) if pairs else None, skin, f"SKIN_{name.upper()}_VERTEX_LIST_FPATH")


def _read_blendshapes(checks: _Checks, inputs: Inputs) -> None:
    for mesh, caches in (("skin", inputs.skin), ("tongue", inputs.tongue)):
        data = getattr(inputs.files, f"blendshape_{mesh}_fpath")
        config = getattr(inputs.files, f"blendshape_{mesh}_config_fpath")
        count = num_vertices(caches)
        if data is None or config is None or count is None:
            continue
        arrays = checks.read(inputs.files.read, read_npz, data)
        settings = checks.read(inputs.files.read, read_json, config)
        if arrays is not None and settings is not None:
            key = f"BLENDSHAPE_{mesh.upper()}"
            places = f"{key}_FPATH {external_path(data)}", f"{key}_CONFIG_FPATH {external_path(config)}"
            clean, settings, problems = ready_blendshapes(arrays, settings, count, *places)
            checks.problems += problems
            inputs.blendshapes[mesh] = clean, settings


def _prune_vertices(checks: _Checks, path: Path, actor: str, count: int | None) -> np.ndarray | None:
    """Vertices (n,) to compare poses by, in order and once."""
    key = "SKIN_PRUNE_MESH_MASK_FPATH"
    faults = check_path(path, key, actor, folder=False)
    checks.problems += faults
    if faults or count is None:
        return None
    vertices = checks.read(read_vertices, path, f"{key} {external_path(path)}", count)
    return None if vertices is None else np.unique(vertices)


def _check_motion(checks: _Checks, inputs: Inputs) -> None:
    """Jaw and eye motion: shapes, lengths, and shots that have none."""
    files = inputs.files
    jaw = _check_channel(
        checks, inputs.shots, "JAW_ANIM_DATA_FPATH", files.jaw_anim_data_fpath, files.has_jaw, files.jaw_animation
    )
    _check_channel(
        checks, inputs.shots, "EYE_ANIM_DATA_FPATH", files.eye_anim_data_fpath, files.has_eye, files.eye_animation
    )
    points = None if inputs.rest.jaw_neutral is None else len(inputs.rest.jaw_neutral)
    for shot, motion in jaw.items():
        if points is not None and motion.shape[1] != points:
            counts = f"{motion.shape[1]} key points, JAW_KEYPOINTS_NEUTRAL_FPATH has {points}"
            checks.problems.append(f"JAW_ANIM_DATA_FPATH: shot {shot} moves {counts}")


def _check_channel(
    checks: _Checks,
    shots: list[Shot],
    key: str,
    path: Path | None,
    has: Callable[[str], bool],
    load: Callable[[str], np.ndarray],
) -> dict[str, np.ndarray]:
    if path is None or checks.read(has, "") is None:
        return {}
    without = [shot.name for shot in shots if not has(shot.name)]
    if without:
        logger.warning("%s: %d shot(s) have no motion in %s: %s", key, len(without), path.name, ", ".join(without))
    found = {}
    for shot in shots:
        motion = checks.read(load, shot.name) if has(shot.name) else None
        if motion is not None:
            found[shot.name] = motion
            if len(motion) != shot.num_frames:
                counts = f"{len(motion)} frames, the skin cache {shot.num_frames}"
                checks.problems.append(f"{key}: shot {shot.name} has {counts}; they must be equal")
    return found


def _check_sound(checks: _Checks, inputs: Inputs) -> None:
    """Every sound file's rate and length; shots without sound are not trained on."""
    files = inputs.files
    silent = [shot.name for shot in inputs.shots if files.audio_file(shot.name) is None]
    if silent and len(silent) == len(inputs.shots):
        checks.problems.append(
            f"AUDIO_ROOT ({external_path(files.audio_root or '')}): has no <shot>.wav for any of the shots"
        )
    elif silent:
        logger.warning("%d shot(s) have no sound of their name and give no clip: %s", len(silent), ", ".join(silent))
    for voice in (None, *files.voices()):
        for shot in inputs.shots:
            path = files.audio_file(shot.name, voice)
            info = checks.read(sound_info, path) if path else None
            if path is None or info is None:
                continue
            if info.sample_rate < SAMPLE_RATE:
                rates = f"{info.sample_rate} Hz, at least {SAMPLE_RATE} Hz are needed"
                checks.problems.append(f"AUDIO_ROOT: {external_path(path)}: {rates}")
            gap_s = info.duration_s - shot.num_frames / shot.fps
            if abs(gap_s) > TOLERATED_SOUND_GAP_S:
                relation = "longer" if gap_s > 0 else "shorter"
                logger.warning("%s is %.2f s %s than its animation", external_path(path), abs(gap_s), relation)
