"""The captured data of one actor: where every file lies, and its contents checked and cast when read.

Config paths are checked together at the start; arrays come out as float32 in C order whatever was saved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.dataset.curve_files import CurveSource, build_curve_sources, shots_of
from audio2face.dataset.places import VOICES_FOLDER, check_path, shot_folders
from audio2face.dataset.sound_roles import SoundRoles, build_roles
from audio2face.dataset.vertex_files import read_faces, read_numbers, read_vertices, vertex_pairs
from audio2face.face.topology import Topology
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.npy import read_npy, read_npz
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.lazy import lazy
from audio2face.listing import natural_order
from audio2face.paths import external_path, local_path, missing_root
from audio2face.problems import STRUCTURE, Problems, UserError, raise_problems
from audio2face.types import Pairs

if TYPE_CHECKING:
    from audio2face.config import Section
    from audio2face.formats.body_mesh import BodyMesh

logger = logging.getLogger(__name__)

REQUIRED = ("audio_root",)
read_body_mesh = lazy("audio2face.formats.body_mesh", "read_body_mesh")
FACES = ("SKIN_TRIANGLES_FPATH", "TONGUE_TRIANGLES_FPATH", "BODY_MESH_FPATH")


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
    body_mesh_fpath: Path | None = None
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
        return self._triangles("SKIN_TRIANGLES_FPATH")

    def tongue_triangles(self) -> np.ndarray | None:
        """Triangles (F, 3) int of the tongue mesh, from .npy, .obj or .usd."""
        return self._triangles("TONGUE_TRIANGLES_FPATH")

    def topology(self, num_skin: int | None, num_tongue: int | None, units_per_metre: float) -> Topology:
        """The faces of meshes with so many vertices, and the body's mesh; None: the actor has no such mesh, its faces are not read.

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
        body = None
        try:
            body = self.body_mesh()
        except UserError as error:
            problems += error.lines
        raise_problems(problems)
        return Topology(faces.get("skin"), faces.get("tongue"), units_per_metre, body)

    def body_mesh(self) -> BodyMesh | None:
        """The mesh that a group's skeleton moves, with its bones and weights."""
        return self.read(read_body_mesh, self.body_mesh_fpath) if self.body_mesh_fpath else None

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
        return None if path is None else vertex_pairs(self.read(read_numbers, path), places, self._where(path))

    def _triangles(self, key: str) -> np.ndarray | None:
        path = getattr(self, key.lower())
        return None if path is None else read_faces(path, key, self.read)


PATHS = tuple(f.name for f in fields(DatasetFiles) if f.name.endswith(("_root", "_fpath")))


def _build_channels(dataset: Section, actor: str) -> tuple[str | None, str | None]:
    """SKIN_CACHE_CHANNEL and TONGUE_CACHE_CHANNEL of an actor."""
    return dataset.SKIN_CACHE_CHANNEL.get(actor), dataset.TONGUE_CACHE_CHANNEL.get(actor)


def not_fetched(files: DatasetFiles) -> list[str]:
    """A line for each checkout whose data git-lfs has not fetched."""
    return pointer_problems(path for name in PATHS if (path := getattr(files, name)) is not None)


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
