"""The one reading of an actor's captured data: everything is found, checked and kept before any work is done.

Called by `doctor.quick` and `doctor.check`; next: `preproc`, which computes from what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.config import section_from_values
from audio2face.dataset.blendshapes import ready_blendshapes
from audio2face.dataset.caches import find_caches, frame_rate, usual_vertices
from audio2face.dataset.captured import BAD_FILE, CapturedActor, RestData, build_plan, read_sounds
from audio2face.dataset.curve_checks import check_body_mesh
from audio2face.dataset.curve_files import shots_of
from audio2face.dataset.curves import build_groups, curve_lengths, read_tables
from audio2face.dataset.files import DatasetFiles, not_fetched
from audio2face.dataset.places import check_path
from audio2face.dataset.shots import shot_emotions, shot_language
from audio2face.dataset.vertex_files import read_vertices
from audio2face.face.topology import Topology
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npz
from audio2face.paths import external_path, local_path
from audio2face.postprocess.jaw import key_point_problem
from audio2face.problems import STRUCTURE, Problems
from audio2face.types import Cache, Pairs, Shot

if TYPE_CHECKING:
    from audio2face.config import Section


def build_captured(sections: Mapping[str, Section], actor: str) -> tuple[CapturedActor | None, Problems]:
    """The data of `actor` as far as it can be read, and everything that preprocessing cannot use (rule "structure").

    `sections` holds dataset, and preproc and train when there are any. None when there is no motion to look at.
    """
    dataset = sections["dataset"]
    preproc = sections.get("preproc") or section_from_values("preproc", {})
    problems = Problems(actor, STRUCTURE)
    files = problems.attempt(DatasetFiles.from_config, dataset, actor) or DatasetFiles.that_exist(dataset, actor)
    if pointers := not_fetched(files):
        problems.extend(pointers)
        return None, problems
    if files.skin_cache_root is None and dataset.SKIN_CACHE_ROOT.get(actor) is not None:
        return None, problems
    skin_shots, tongue_shots = preproc.SKIN_CACHE_SHOTS.get(actor), preproc.TONGUE_CACHE_SHOTS.get(actor)
    skin: dict[str, Cache] = {}
    if root := files.skin_cache_root:
        keys = "SKIN_CACHE_ROOT", skin_shots, "SKIN_CACHE_SHOTS"
        skin = find_caches(problems, root, *keys, files.skin_cache_channel)
    choosing = _build_choosing(problems, preproc, skin, actor)
    tongue: dict[str, Cache] = {}
    if root := files.tongue_cache_root:
        keys = "TONGUE_CACHE_ROOT", tongue_shots, "TONGUE_CACHE_SHOTS"
        tongue = find_caches(problems, root, *keys, files.tongue_cache_channel)
    _check_lengths(problems, "TONGUE_CACHE_ROOT", tongue, skin)
    lead = skin if files.skin_cache_root else tongue
    tongue = {shot: cache for shot, cache in tongue.items() if shot in lead}
    lengths = {shot: cache.num_frames for shot, cache in lead.items()}
    if files.skin_cache_root is None and files.tongue_cache_root is None:
        lengths = problems.attempt(files.motion_frames, also=BAD_FILE) or {}
    rate = dataset.CACHE_FPS.get(actor) or 30.0
    tables, skeletons = read_tables(problems, files.curves, [*lengths] or shots_of(files.curves.values()))
    lengths = lengths or curve_lengths(problems, files.curves, rate, tables)
    if not lengths and files.skin_cache_root is None:
        keys_of_motion = "SKIN_CACHE_ROOT, TONGUE_CACHE_ROOT, JAW_ANIM_DATA_FPATH, EYE_ANIM_DATA_FPATH or CURVES_ROOT"
        problems.error(STRUCTURE, f"actor {actor!r} has no motion: set {keys_of_motion}", key="SKIN_CACHE_ROOT")
    fps = frame_rate(problems, lead, dataset.CACHE_FPS.get(actor), actor)
    frame_rate(problems, tongue, fps, actor)
    known = [*dataset.SHOT_EMOTION_NAMES]
    emotions = shot_emotions(problems, actor, list(lengths), known, dataset.SHOT_EMOTION_MAP, files.shots())
    shots = [Shot(actor, shot, count, fps, emotions[shot]) for shot, count in lengths.items()]
    counts = usual_vertices(skin), usual_vertices(tongue)
    mask = preproc.SKIN_PRUNE_MESH_MASK_FPATH.get(actor)
    rest = _read_rest(problems, files, *counts)
    jaw, eye = _read_motion(problems, files, shots, rest.jaw_neutral)
    units = float(dataset.UNITS_PER_METRE)
    captured = CapturedActor(
        files=files,
        fps=fps,
        shots=[shot for shot in shots if shot.name not in skin or skin[shot.name].num_vertices == counts[0]],
        skin=_with_vertices(skin, counts[0]),
        choosing=choosing,
        tongue=_with_vertices(tongue, counts[1]),
        prune_vertices=_prune_vertices(problems, mask and local_path(mask), actor, usual_vertices(choosing)),
        rigid_vertices=_rigid_vertices(problems, files, counts[1], dataset.TONGUE_NEUTRAL_FPATH.get(actor) is not None),
        skin_neutral=_on_mesh(problems, files.skin_neutral, counts[0], "SKIN_NEUTRAL_FPATH"),
        tongue_neutral=_on_mesh(problems, files.tongue_neutral, counts[1], "TONGUE_NEUTRAL_FPATH"),
        rest=rest,
        blendshapes=_read_blendshapes(problems, files, {"skin": counts[0], "tongue": counts[1]}),
        topology=problems.attempt(files.topology, *counts, units, also=BAD_FILE) or Topology(),
        pairs=_read_pairs(problems, files, counts[0]),
        jaw=jaw,
        eye=eye,
        curves=build_groups(problems, files.curves, shots, tables, skeletons),
        sounds=[*read_sounds(problems, files, shots)],
        languages={shot: shot_language(dataset.SHOT_LANGUAGE_MAP, actor, shot) for shot in lengths},
        emotions=known,
        mapped=frozenset(shot for name, shot, _ in dataset.SHOT_EMOTION_MAP if name == actor),
        units_per_metre=units,
        prune_distance=float(preproc.SKIN_PRUNE_SIM_DIST),
        plan=build_plan(sections["train"], actor) if "train" in sections else None,
    )
    check_body_mesh(problems, captured.topology.body, captured.curves)
    if files.audio_root is not None and shots and all(files.audio_file(shot.name) is None for shot in shots):
        what = f"AUDIO_ROOT ({external_path(files.audio_root)}): has no <shot>.wav for any of the shots"
        problems.error(STRUCTURE, what, file=files.audio_root, key="AUDIO_ROOT")
    return captured if lengths else None, problems


def _with_vertices(caches: dict[str, Cache], count: int | None) -> dict[str, Cache]:
    return {shot: cache for shot, cache in caches.items() if cache.num_vertices == count}


def _build_choosing(problems: Problems, preproc: Section, skin: dict[str, Cache], actor: str) -> dict[str, Cache]:
    """The caches to choose poses from: coarser ones when given, of some of the shots when listed."""
    root, channel = preproc.SKIN_PRUNE_CACHE_ROOT.get(actor), preproc.SKIN_PRUNE_CACHE_CHANNEL.get(actor)
    shots = preproc.SKIN_PRUNE_CACHE_SHOTS.get(actor)
    key = "SKIN_PRUNE_CACHE_ROOT"
    caches = skin
    if root is not None:
        coarse = local_path(root)
        faults = check_path(coarse, key, actor, folder=True) or pointer_problems([coarse])
        problems.extend(faults, key=key)
        if faults:
            return {}
        caches = find_caches(problems, coarse, key, shots, "SKIN_PRUNE_CACHE_SHOTS", channel)
        _check_lengths(problems, key, caches, skin)
    for shot in shots or ():
        if shot not in skin and (root is None or shot in caches):
            what = f"SKIN_PRUNE_CACHE_SHOTS: shot {shot!r} is not among the skin shots used"
            problems.error(STRUCTURE, what, shot=shot, key="SKIN_PRUNE_CACHE_SHOTS")
    used = {shot: cache for shot, cache in caches.items() if shot in skin and (shots is None or shot in shots)}
    if root is not None and caches and not used:
        what = f"{key} ({external_path(local_path(root))}): none of its shots is a skin shot"
        problems.error(STRUCTURE, what, key=key)
    return used


def _check_lengths(problems: Problems, key: str, caches: dict[str, Cache], skin: dict[str, Cache]) -> None:
    """Other caches of a shot must have as many frames as its skin."""
    for shot, cache in caches.items():
        if shot in skin and cache.num_frames != skin[shot].num_frames:
            counts = f"{cache.num_frames} frames, the skin cache {skin[shot].num_frames}"
            what = f"{key}: shot {shot} has {counts}; they must be equal"
            problems.error(STRUCTURE, what, shot=shot, file=cache.path, key=key)


def _on_mesh(
    problems: Problems, load: Callable[[], np.ndarray | None], count: int | None, key: str
) -> np.ndarray | None:
    """An array (V, 3), or None unless it has as many vertices as the caches."""
    array = problems.attempt(load, also=BAD_FILE, key=key)
    if array is None or count is None or len(array) == count:
        return array
    problems.error(STRUCTURE, f"{key}: {len(array)} vertices, but the caches have {count}", key=key)
    return None


def _read_rest(problems: Problems, files: DatasetFiles, skin: int | None, tongue: int | None) -> RestData:
    """What the deployed model shows besides motion, checked against the meshes."""
    rest = RestData(
        _on_mesh(problems, files.skin_neutral_inference, skin, "SKIN_NEUTRAL_INFERENCE_FPATH"),
        _on_mesh(problems, files.tongue_neutral_inference, tongue, "TONGUE_NEUTRAL_INFERENCE_FPATH"),
        _on_mesh(problems, files.lip_open_pose_delta, skin, "SKIN_LIP_OPEN_POSE_DELTA_FPATH"),
        _on_mesh(problems, files.eye_close_pose_delta, skin, "SKIN_EYE_CLOSE_POSE_DELTA_FPATH"),
        problems.attempt(files.jaw_neutral, also=BAD_FILE, key="JAW_KEYPOINTS_NEUTRAL_FPATH"),
        problems.attempt(files.blink_keys, also=BAD_FILE, key="EYE_BLINK_KEYS_FPATH"),
        problems.attempt(files.saccades, also=BAD_FILE, key="EYE_SACCADE_ROTATIONS_FPATH"),
    )
    if rest.jaw_neutral is not None and (weakness := key_point_problem(rest.jaw_neutral)):
        path = files.jaw_keypoints_neutral_fpath
        what = f"JAW_KEYPOINTS_NEUTRAL_FPATH {external_path(path or '')}: {weakness}"
        problems.error(STRUCTURE, what, file=path, key="JAW_KEYPOINTS_NEUTRAL_FPATH")
    return rest


def _rigid_vertices(problems: Problems, files: DatasetFiles, count: int | None, has_neutral: bool) -> np.ndarray | None:
    key = "TONGUE_RIGID_VERTEX_LIST_FPATH"
    vertices = problems.attempt(files.tongue_rigid_vertices, count, also=BAD_FILE, key=key) if count else None
    if vertices is not None and not has_neutral:
        what = f"{key} needs TONGUE_NEUTRAL_FPATH, onto which the tongue is aligned"
        problems.error(STRUCTURE, what, key=key)
    return vertices


def _read_pairs(problems: Problems, files: DatasetFiles, count: int | None) -> dict[str, Pairs]:
    """The vertex lists of lips and lids that name vertices of the skin."""
    found: dict[str, Pairs] = {}
    for name in ("lip_dist", "lip_size", "eye_dist"):
        key = f"SKIN_{name.upper()}_VERTEX_LIST_FPATH"
        pairs = problems.attempt(getattr(files, f"{name}_pairs"), also=BAD_FILE, key=key)
        if pairs is None or count is None:
            continue
        largest = max(int(side.max()) for side in pairs)
        if largest < count:
            found[name] = pairs
        else:
            what = f"{key}: vertex {largest} does not exist; the mesh has vertices 0 to {count - 1}"
            problems.error(STRUCTURE, what, key=key)
    return found


def _read_blendshapes(
    problems: Problems, files: DatasetFiles, counts: Mapping[str, int | None]
) -> dict[str, tuple[dict[str, np.ndarray], Any]]:
    found = {}
    for mesh, count in counts.items():
        data, config = (getattr(files, f"blendshape_{mesh}_{part}") for part in ("fpath", "config_fpath"))
        if data is None or config is None or count is None:
            continue
        key = f"BLENDSHAPE_{mesh.upper()}"
        arrays = problems.attempt(files.read, read_npz, data, also=BAD_FILE, key=f"{key}_FPATH")
        settings = problems.attempt(files.read, read_json, config, also=BAD_FILE, key=f"{key}_CONFIG_FPATH")
        if arrays is not None and settings is not None:
            places = f"{key}_FPATH {external_path(data)}", f"{key}_CONFIG_FPATH {external_path(config)}"
            clean, settings, lines = ready_blendshapes(arrays, settings, count, *places)
            problems.extend(lines, key=f"{key}_FPATH")
            found[mesh] = clean, settings
    return found


def _prune_vertices(problems: Problems, path: Path | None, actor: str, count: int | None) -> np.ndarray | None:
    """Vertices (n,) to compare poses by, in order and once."""
    key = "SKIN_PRUNE_MESH_MASK_FPATH"
    if path is None:
        return None
    faults = check_path(path, key, actor, folder=False)
    problems.extend(faults, key=key)
    if faults or count is None:
        return None
    where = f"{key} {external_path(path)}"
    vertices = problems.attempt(read_vertices, path, where, count, also=BAD_FILE, key=key)
    return None if vertices is None else np.unique(vertices)


def _read_motion(
    problems: Problems, files: DatasetFiles, shots: list[Shot], jaw_neutral: np.ndarray | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Jaw and eye motion by shot: shapes and lengths."""
    jaw_key = "JAW_ANIM_DATA_FPATH"
    jaw = _motion(problems, shots, jaw_key, files.has_jaw, files.jaw_animation)
    eye = _motion(problems, shots, "EYE_ANIM_DATA_FPATH", files.has_eye, files.eye_animation)
    for shot, motion in jaw.items():
        if jaw_neutral is not None and motion.shape[1] != len(jaw_neutral):
            counts = f"{motion.shape[1]} key points, JAW_KEYPOINTS_NEUTRAL_FPATH has {len(jaw_neutral)}"
            problems.error(STRUCTURE, f"{jaw_key}: shot {shot} moves {counts}", shot=shot, key=jaw_key)
    return jaw, eye


def _motion(
    problems: Problems,
    shots: list[Shot],
    key: str,
    has: Callable[[str], bool],
    load: Callable[[str], np.ndarray],
) -> dict[str, np.ndarray]:
    if problems.attempt(has, "", also=BAD_FILE, key=key) is None:
        return {}
    found = {}
    for shot in shots:
        where = {"shot": shot.name, "key": key}
        motion = problems.attempt(load, shot.name, also=BAD_FILE, **where) if has(shot.name) else None
        if motion is None:
            continue
        found[shot.name] = motion
        if len(motion) != shot.num_frames:
            counts = f"{len(motion)} frames, the skin cache {shot.num_frames}"
            problems.error(STRUCTURE, f"{key}: shot {shot.name} has {counts}; they must be equal", **where)
    return found
