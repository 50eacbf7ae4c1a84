"""The captured data of one actor: where every file lies, and its contents checked and cast when read.

Config paths are checked together at the start; arrays come out as float32 in C order whatever was saved.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.dataset.curve_files import CurveSource, build_curve_sources, shots_of
from audio2face.dataset.sound_roles import SoundRoles, build_roles
from audio2face.face.topology import Topology
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npy, read_npz
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.geometry.regions import chosen_vertices
from audio2face.lazy import lazy
from audio2face.listing import natural_order
from audio2face.paths import external_path, local_path, missing_root
from audio2face.problems import STRUCTURE, Problems, UserError, raise_problems
from audio2face.types import Pairs

if TYPE_CHECKING:
    from audio2face.config import Section

logger = logging.getLogger(__name__)

VOICES_FOLDER = "aug"
REQUIRED = ("audio_root",)
ROWS = {"upper": 0, "lower": 1, "upper_lip": 0, "lower_lip": 1, "top": 0, "bottom": 1}  # of the lists in a .npy
FACE_READERS = {
    ".obj": lazy("audio2face.formats.obj", "read_obj_triangles"),
    **dict.fromkeys((".usd", ".usda", ".usdc"), lazy("audio2face.formats.usd", "read_usd_triangles")),
}
FACES = ("SKIN_TRIANGLES_FPATH", "TONGUE_TRIANGLES_FPATH")

# Where a data set's files lie in the folder of an actor: key of config_dataset -> path.
PLACES = {
    "AUDIO_ROOT": "audio",
    "SKIN_CACHE_ROOT": "cache/skin",
    "SKIN_NEUTRAL_FPATH": "geom/skin/neutral_pose.npy",
    "SKIN_LIP_OPEN_POSE_DELTA_FPATH": "geom/skin/lip_open_pose_delta.npy",
    "SKIN_EYE_CLOSE_POSE_DELTA_FPATH": "geom/skin/eye_close_pose_delta.npy",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH": "geom/skin/lip_dist_vertex_list.json",
    "SKIN_LIP_SIZE_VERTEX_LIST_FPATH": "geom/skin/lip_size_vertex_list.json",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH": "geom/skin/eye_dist_vertex_list.json",
    "SKIN_TRIANGLES_FPATH": "geom/skin/triangles.npy",
    "SKIN_PRUNE_MESH_MASK_FPATH": "geom/skin/prune_mask.npy",
    "TONGUE_CACHE_ROOT": "cache/tongue",
    "TONGUE_NEUTRAL_FPATH": "geom/tongue/neutral_pose.npy",
    "TONGUE_RIGID_VERTEX_LIST_FPATH": "geom/tongue/rigid_vertex_list.json",
    "TONGUE_TRIANGLES_FPATH": "geom/tongue/triangles.npy",
    "JAW_KEYPOINTS_NEUTRAL_FPATH": "xform/jaw_keypoints_neutral.npy",
    "JAW_ANIM_DATA_FPATH": "xform/jaw_keypoints_cache_all.npz",
    "EYE_ANIM_DATA_FPATH": "xform/eye_rotations_all.npz",
    "EYE_BLINK_KEYS_FPATH": "xform/eye_blink_keys.npy",
    "EYE_SACCADE_ROTATIONS_FPATH": "xform/eye_saccade_rotations.npy",
    "BLENDSHAPE_SKIN_FPATH": "bs_data/bs_skin.npz",
    "BLENDSHAPE_SKIN_CONFIG_FPATH": "bs_data/bs_skin_config.json",
    "BLENDSHAPE_TONGUE_FPATH": "bs_data/bs_tongue.npz",
    "BLENDSHAPE_TONGUE_CONFIG_FPATH": "bs_data/bs_tongue_config.json",
}


@dataclass(frozen=True)
class DatasetFiles:
    """Paths of one actor's data; None for what the config leaves out. Field names are config keys in lower case.

    The two channels are those to read of Maya caches that hold several; `curves` are the groups of CURVES_ROOT, `roles` say
    who is heard where in the sounds.
    """

    actor: str
    skin_cache_channel: str | None = None
    tongue_cache_channel: str | None = None
    audio_root: Path | None = None
    partner_audio_root: Path | None = None
    skin_cache_root: Path | None = None
    skin_neutral_fpath: Path | None = None
    skin_neutral_inference_fpath: Path | None = None
    skin_lip_open_pose_delta_fpath: Path | None = None
    skin_eye_close_pose_delta_fpath: Path | None = None
    skin_lip_dist_vertex_list_fpath: Path | None = None
    skin_lip_size_vertex_list_fpath: Path | None = None
    skin_eye_dist_vertex_list_fpath: Path | None = None
    skin_triangles_fpath: Path | None = None
    tongue_cache_root: Path | None = None
    tongue_neutral_fpath: Path | None = None
    tongue_neutral_inference_fpath: Path | None = None
    tongue_rigid_vertex_list_fpath: Path | None = None
    tongue_triangles_fpath: Path | None = None
    jaw_keypoints_neutral_fpath: Path | None = None
    jaw_anim_data_fpath: Path | None = None
    eye_anim_data_fpath: Path | None = None
    eye_blink_keys_fpath: Path | None = None
    eye_saccade_rotations_fpath: Path | None = None
    blendshape_skin_fpath: Path | None = None
    blendshape_skin_config_fpath: Path | None = None
    blendshape_tongue_fpath: Path | None = None
    blendshape_tongue_config_fpath: Path | None = None
    curves: Mapping[str, CurveSource] = field(default_factory=dict)
    roles: SoundRoles = field(default_factory=SoundRoles)

    @classmethod
    def from_config(cls, dataset: Section, actor: str) -> DatasetFiles:
        """The files that config_dataset names for `actor`. Raises UserError listing every path that is not there.

        Where git-lfs has not fetched all of them, one line reports it, but for caches alone, which training does without.
        """
        paths: dict[str, Any] = {}
        problems = Problems(rule=STRUCTURE)
        for name in PATHS:
            key = name.upper()
            value = getattr(dataset, key).get(actor)
            if value is None:
                if name in REQUIRED:
                    problems.error("", f"{key}: no entry for actor {actor!r}; it is required", key=key)
                continue
            paths[name] = local_path(value)
            if missing := missing_root(value):
                problems.extend([missing])
                continue
            problems.extend(check_path(paths[name], key, actor, folder=name.endswith("_root")), key=key)
        sources = build_curve_sources(dataset, actor)
        for group, folder in dataset.CURVES_ROOT.get(actor, {}).items():
            key = f"CURVES_ROOT of group {group!r}"
            missing = missing_root(folder)
            problems.extend(
                [missing] if missing else check_path(sources[group].folder, key, actor, folder=True), key="CURVES_ROOT"
            )
        roles = build_roles(dataset, actor)
        files = cls(actor, *_build_channels(dataset, actor), **paths, curves=sources, roles=roles)
        if pointer_problems(path for name, path in paths.items() if not name.endswith("_cache_root")):
            problems.extend(not_fetched(files))
        problems.raise_errors()
        return files

    @classmethod
    def that_exist(cls, dataset: Section, actor: str) -> DatasetFiles:
        """As `from_config`, of the paths that are there; the others count as not given."""
        paths: dict[str, Any] = {}
        for name in PATHS:
            value = getattr(dataset, name.upper()).get(actor)
            path = None if value is None else local_path(value)
            if path and not check_path(path, "", actor, folder=name.endswith("_root")):
                paths[name] = path
        sources = {group: s for group, s in build_curve_sources(dataset, actor).items() if s.folder.is_dir()}
        roles = build_roles(dataset, actor)
        return cls(actor, *_build_channels(dataset, actor), **paths, curves=sources, roles=roles)

    @classmethod
    def of_faces(cls, dataset: Section, actor: str) -> DatasetFiles:
        """The faces of the meshes that config_dataset names for `actor`, alone. Raises UserError when they are not there."""
        named = {key: value for key in FACES if (value := getattr(dataset, key).get(actor)) is not None}
        paths = {key: local_path(value) for key, value in named.items()}
        faults = (
            [missing] if (missing := missing_root(value)) else check_path(paths[key], key, actor, folder=False)
            for key, value in named.items()
        )
        raise_problems(list(dict.fromkeys(fault for found in faults for fault in found)))
        given: dict[str, Any] = {key.lower(): path for key, path in paths.items()}
        return cls(actor, **given)

    # ---- any file

    def read(self, read: Callable[[Path], Any], path: Path) -> Any:
        """What `read` makes of a file. Raises UserError naming its key."""
        try:
            return read(path)
        except ValueError as error:
            key = self._where(path).split(" ")[0]
            raise UserError(f"{key}: {error}") from error

    # ---- shots and sound

    def shots(self) -> list[str]:
        """Names of the shots in order: of the skin cache, else of the tongue's, else of the jaw, the eyes and curves."""
        root = self.skin_cache_root or self.tongue_cache_root
        if root is not None:
            return shot_folders(root)
        return natural_order({*self._jaw, *self._eye, *shots_of(self.curves.values())})

    def motion_frames(self) -> dict[str, int]:
        """Frames of the shots that jaw or eyes move in, for an actor without meshes."""
        moving = natural_order({*self._jaw, *self._eye})
        return {shot: len((self._jaw if shot in self._jaw else self._eye)[shot]) for shot in moving}

    def audio_file(self, shot: str, voice: str | None = None) -> Path | None:
        """The sound of a shot (or of another voice speaking it), whose name is exactly the shot's; None without one."""
        if self.audio_root is None:
            return None
        folder = self.audio_root if voice is None else self.audio_root / VOICES_FOLDER / voice
        return next((p for s in SOUND_SUFFIXES if (p := folder / f"{shot}{s}").is_file()), None)

    def voices(self) -> list[str]:
        """Names of the additional voices in audio/aug, in order."""
        folder = None if self.audio_root is None else self.audio_root / VOICES_FOLDER
        return shot_folders(folder) if folder and folder.is_dir() else []

    # ---- skin and tongue

    def skin_neutral(self) -> np.ndarray | None:
        """The skin at rest (V, 3)."""
        return self._vectors("skin_neutral_fpath")

    def skin_neutral_inference(self) -> np.ndarray | None:
        """The skin at rest of the deployed model (V, 3)."""
        return self._vectors("skin_neutral_inference_fpath")

    def lip_open_pose_delta(self) -> np.ndarray | None:
        """Displacement to opened lips (V, 3)."""
        return self._vectors("skin_lip_open_pose_delta_fpath")

    def eye_close_pose_delta(self) -> np.ndarray | None:
        """Displacement to closed eyes (V, 3)."""
        return self._vectors("skin_eye_close_pose_delta_fpath")

    def tongue_neutral(self) -> np.ndarray | None:
        """The tongue at rest (Vt, 3)."""
        return self._vectors("tongue_neutral_fpath")

    def tongue_neutral_inference(self) -> np.ndarray | None:
        """The tongue at rest of the deployed model (Vt, 3)."""
        return self._vectors("tongue_neutral_inference_fpath")

    def tongue_rigid_vertices(self, num_vertices: int) -> np.ndarray | None:
        """Those of the tongue's vertices that move with the jaw only (n >= 4,) int, from a list or a mask."""
        path = self.tongue_rigid_vertex_list_fpath
        return None if path is None else read_vertices(path, self._where(path), num_vertices, at_least=4)

    def lip_dist_pairs(self) -> Pairs | None:
        """Upper and lower vertices (n,) of the inner lip line, in pairs."""
        return self._pairs(self.skin_lip_dist_vertex_list_fpath, (("upper",), ("lower",)))

    def lip_size_pairs(self) -> Pairs | None:
        """Top and bottom vertices (n,) of the upper lip, then of the lower lip, in pairs."""
        path = self.skin_lip_size_vertex_list_fpath
        upper = self._pairs(path, (("upper_lip", "top"), ("upper_lip", "bottom")))
        lower = self._pairs(path, (("lower_lip", "top"), ("lower_lip", "bottom")))
        if upper is None or lower is None:
            return None
        return np.concatenate([upper[0], lower[0]]), np.concatenate([upper[1], lower[1]])

    def eye_dist_pairs(self) -> Pairs | None:
        """Upper and lower lid vertices (n,): left eye, right eye."""
        return self._pairs(self.skin_eye_dist_vertex_list_fpath, (("upper",), ("lower",)))

    def skin_triangles(self) -> np.ndarray | None:
        """Triangles (F, 3) int of the skin mesh, from .npy, .obj or .usd."""
        return self._triangles(self.skin_triangles_fpath, "SKIN_TRIANGLES_FPATH")

    def tongue_triangles(self) -> np.ndarray | None:
        """Triangles (F, 3) int of the tongue mesh, from .npy, .obj or .usd."""
        return self._triangles(self.tongue_triangles_fpath, "TONGUE_TRIANGLES_FPATH")

    def topology(self, num_skin: int | None, num_tongue: int | None, units_per_metre: float) -> Topology:
        """The faces of meshes with so many vertices; None: the actor has no such mesh, its faces are not read.

        Raises UserError naming the key and the file of faces that are not of these meshes.
        """
        faces: dict[str, np.ndarray] = {}
        problems: list[str] = []
        for mesh, count, load in (
            ("skin", num_skin, self.skin_triangles),
            ("tongue", num_tongue, self.tongue_triangles),
        ):
            try:
                found = None if count is None else load()
            except UserError as error:
                problems += error.lines
                continue
            if found is None or count is None:
                continue
            faces[mesh] = found
            where = self._where(getattr(self, f"{mesh}_triangles_fpath"))
            if not found.size or found.min() < 0:
                problems.append(f"{where}: expected triangles of vertices from 0")
            elif found.max() >= count:
                problems.append(
                    f"{where}: vertex {found.max()} does not exist; the {mesh} has vertices 0 to {count - 1}"
                )
            elif found.max() < count - 1:
                used = f"vertices 0 to {found.max()}, the {mesh} has {count}"
                logger.warning("%s: its faces use %s: are they of another mesh?", where, used)
        raise_problems(problems)
        return Topology(faces.get("skin"), faces.get("tongue"), units_per_metre)

    # ---- jaw and eyes

    def jaw_neutral(self) -> np.ndarray | None:
        """Key points of the lower teeth at rest (P, 3)."""
        return self._vectors("jaw_keypoints_neutral_fpath")

    def jaw_shots(self) -> list[str]:
        """Names of the shots with jaw motion, whatever shots there are besides."""
        return [*self._jaw]

    def has_jaw(self, shot: str) -> bool:
        """Whether there is jaw motion for the shot."""
        return shot in self._jaw

    def jaw_animation(self, shot: str) -> np.ndarray:
        """Motion of the jaw key points in a shot, as differences from rest: (T, P, 3) float32."""
        return _shaped(self._jaw[shot], (None, None, 3), f"JAW_ANIM_DATA_FPATH, shot {shot}")

    def eye_shots(self) -> list[str]:
        """Names of the shots with eye motion, whatever shots there are besides."""
        return [*self._eye]

    def has_eye(self, shot: str) -> bool:
        """Whether there is eye motion for the shot."""
        return shot in self._eye

    def eye_animation(self, shot: str) -> np.ndarray:
        """Rotation of the eyes in a shot, degrees: (T, 4) float32, right x, right y, left x, left y."""
        data = self._eye[shot]
        if data.ndim == 3:
            data = data.reshape(len(data), -1)
        return _shaped(data, (None, 4), f"EYE_ANIM_DATA_FPATH, shot {shot}")

    def blink_keys(self) -> np.ndarray | None:
        """A recorded run of blinks (n,), 0 open to 1 closed."""
        path = self.eye_blink_keys_fpath
        return None if path is None else _shaped(self.read(read_npy, path), (None,), self._where(path))

    def saccades(self) -> np.ndarray | None:
        """A recorded run of small eye movements (n, 2), degrees."""
        path = self.eye_saccade_rotations_fpath
        return None if path is None else _shaped(self.read(read_npy, path), (None, 2), self._where(path))

    @cached_property
    def _jaw(self) -> dict[str, np.ndarray]:
        return self.read(read_npz, self.jaw_anim_data_fpath) if self.jaw_anim_data_fpath else {}

    @cached_property
    def _eye(self) -> dict[str, np.ndarray]:
        return self.read(read_npz, self.eye_anim_data_fpath) if self.eye_anim_data_fpath else {}

    # ---- helpers

    def _vectors(self, field: str) -> np.ndarray | None:
        path = getattr(self, field)
        return None if path is None else _shaped(self.read(read_npy, path), (None, 3), self._where(path))

    def _where(self, path: Path) -> str:
        """The key that names a file, and the file."""
        key = next((f.name.upper() for f in fields(self)[1:] if getattr(self, f.name) == path), "")
        return f"{key} {external_path(path)}".strip()

    def _pairs(self, path: Path | None, places: tuple[tuple[str, ...], tuple[str, ...]]) -> Pairs | None:
        if path is None:
            return None
        where = self._where(path)
        content = self.read(_numbers, path)
        if isinstance(content, np.ndarray):
            _check_rows(content, len(places[0]), where)
        upper, lower = (_member(content, place, where) for place in places)
        if len(upper) != len(lower):
            names = " and ".join("/".join(place) for place in places)
            raise UserError(f"{where}: {names} must be equally long, they have {len(upper)} and {len(lower)}")
        return upper, lower

    def _triangles(self, path: Path | None, key: str) -> np.ndarray | None:
        if path is None:
            return None
        suffix = path.suffix.lower()
        if suffix in FACE_READERS:
            return self.read(FACE_READERS[suffix], path)
        if suffix != ".npy":
            raise UserError(f"{key} {external_path(path)}: expected a .npy (F, 3), .obj or .usd file")
        faces = self.read(read_npy, path)
        if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
            raise UserError(
                f"{key} {external_path(path)}: expected whole numbers (F, 3), found {faces.shape} of {faces.dtype}"
            )
        return np.ascontiguousarray(faces, np.int64)


PATHS = tuple(f.name for f in fields(DatasetFiles) if f.name.endswith(("_root", "_fpath")))


def _build_channels(dataset: Section, actor: str) -> tuple[str | None, str | None]:
    """SKIN_CACHE_CHANNEL and TONGUE_CACHE_CHANNEL of an actor."""
    return dataset.SKIN_CACHE_CHANNEL.get(actor), dataset.TONGUE_CACHE_CHANNEL.get(actor)


def build_faces(
    dataset: Section, actor: str, own: Topology, num_skin: int | None, num_tongue: int | None, run_name: str
) -> Topology:
    """The faces that config_dataset names for the meshes of a run, over those that the run keeps (`own`).

    No weight depends on them, so that they may be named or corrected after training. Faces that are not there or of
    another mesh raise UserError; when the run keeps some, those are used, with a warning (or a notice, when nothing that is
    named is there: the data set is on another machine).
    """
    paths = [local_path(value) for key in FACES if (value := getattr(dataset, key).get(actor)) is not None]
    if own and not any(path.exists() for path in paths):
        if paths:
            logger.info("actor %s: using the faces kept by run %s; %s is missing here", actor, run_name, paths[0])
        return own
    try:
        named = DatasetFiles.of_faces(dataset, actor).topology(num_skin, num_tongue, float(dataset.UNITS_PER_METRE))
    except UserError as error:
        if not own:
            raise UserError([f"run {run_name}: {line}" for line in error.lines]) from error
        for line in error.lines:
            logger.warning("%s; using the faces kept by run %s", line, run_name)
        return own
    return named.over(own)


def read_vertices(path: Path, where: str, num_vertices: int, at_least: int = 1) -> np.ndarray:
    """Vertices (n,) of a mesh from a .json or .npy that holds a list or a mask of them. UserError begins with `where`."""
    try:
        values = np.asarray(_numbers(path))
        if values.ndim != 1 or len(values) >= at_least:
            values = chosen_vertices(values, num_vertices)
    except ValueError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    if len(values) < at_least:
        raise UserError(f"{where}: needs at least {at_least} vertices, has {len(values)}")
    return values


def not_fetched(files: DatasetFiles) -> list[str]:
    """A line for each checkout whose data git-lfs has not fetched."""
    return pointer_problems(path for name in PATHS if (path := getattr(files, name)) is not None)


def check_path(path: Path, key: str, actor: str, folder: bool) -> list[str]:
    """A line naming the key when `path` is not the folder or file that it should be, else nothing."""
    if (path.is_dir() if folder else path.is_file()) and os.access(path, os.R_OK):
        return []
    kind = "folder" if folder else "file"
    what = f"no such {kind}" if not path.exists() else f"not a readable {kind}"
    if not path.is_absolute():
        return [
            f"{key} of actor {actor!r}: {what}: {path}; below A2F_DATASETS_ROOT it is written /datasets/{path.as_posix()}"
        ]
    root = next((p for p in path.parents if p.is_dir()), Path(path.anchor))
    return [f"{key} of actor {actor!r}: {what}: {external_path(path)} (what exists of it: {external_path(root)})"]


def shot_folders(root: Path) -> list[str]:
    """Names of the sub-folders of `root`, in order, without hidden ones and stray files."""
    return natural_order(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _shaped(data: np.ndarray, shape: tuple[int | None, ...], where: str) -> np.ndarray:
    """`data` as float32 in C order. Raises UserError unless it is numeric, finite and of `shape` (None: any length)."""
    fits = data.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, data.shape, strict=True)) and data.size
    if not fits or data.dtype.kind not in "fiu":
        expected = ", ".join("any number" if n is None else str(n) for n in shape)
        raise UserError(f"{where}: expected an array of shape ({expected}), found {data.shape} of {data.dtype}")
    values = np.array(data, dtype=np.float32, order="C")
    if not np.isfinite(values).all():
        first = np.argwhere(~np.isfinite(values))[0].tolist()
        raise UserError(f"{where}: holds values that are not finite, first at {first}")
    return values


def _numbers(path: Path) -> Any:
    """What a list of vertices holds: an array of a .npy, or the content of a .json."""
    return read_npy(path) if path.suffix.lower() == ".npy" else read_json(path)


def _check_rows(lists: np.ndarray, depth: int, where: str) -> None:
    """The lists of a .npy are its rows, in the order that ROWS gives. Raises UserError for another layout."""
    if lists.ndim != depth + 1 or lists.shape[:-1] != (2,) * depth or lists.dtype.kind not in "iu":
        rows = "(2, n): upper, lower" if depth == 1 else "(2, 2, n): top, bottom of the upper lip, then of the lower"
        raise UserError(f"{where}: expected rows of whole numbers {rows}; found {lists.shape} of {lists.dtype}")


def _indices(values: Any, where: str, what: str) -> np.ndarray:
    if not isinstance(values, list) or not values or any(type(v) is not int or v < 0 for v in values):
        raise UserError(f"{where}: expected {what} (whole numbers >= 0), found {str(values)[:60]}")
    if len(values) > 2 and max(values) <= 1:
        raise UserError(f"{where}: expected {what}, found a mask of zeros and ones, which does not pair them")
    return np.array(values, np.int64)


def _member(content: Any, place: tuple[str, ...], where: str) -> np.ndarray:
    what = f"a list of vertices under {'/'.join(place)!r}"
    if isinstance(content, np.ndarray):
        return _indices(content[tuple(ROWS[key] for key in place)].tolist(), where, what)
    for key in place:
        if not isinstance(content, Mapping) or key not in content:
            raise UserError(f"{where}: expected an entry {'/'.join(place)!r} with a list of vertices")
        content = content[key]
    return _indices(content, where, what)
