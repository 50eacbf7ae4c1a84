"""A preprocessing run on disk: bases, coefficients, scales, neutral geometry, shots and clips of one actor."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from audio2face.face.channels_file import CHANNELS_FILE, read_curve_channels
from audio2face.face.codec import MESHES, FaceCodec, build_codec
from audio2face.face.topology import TRIANGLES_FILE, Topology, read_topology
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npy, read_npz, write_npy, write_npz
from audio2face.paths import atomic, external_path
from audio2face.problems import UserError
from audio2face.runs.manifest import check_file, require_whole, size_faults
from audio2face.types import Pca, Shot

Read = TypeVar("Read")
ClipRow = tuple[str, str, tuple[int, int], str, str, str, int]

FILES = {  # part of a run -> its place; config_train may name another file for it
    "skin_shapes": "pca/skin/skin_pca_shapes.npz",
    "skin_coeffs": "pca/skin/skin_pca_coeffs_all.npz",
    "tongue_shapes": "pca/tongue/tongue_pca_shapes.npz",
    "tongue_coeffs": "pca/tongue/tongue_pca_coeffs_all.npz",
    "data_info": "deploy/data_info.json",
    "mean_geometry": "deploy/mean_geometry.npy",
    "network_data": "deploy/network_data.npz",
    "shots": "deploy/shots.json",
    "clips_template": "deploy/clips_template.py",
}
CURVES_FILE = (
    "curves/curves_all.npz"  # of an actor with curves: <shot>/<group> (T, K), <shot>/<group>/known of which shots
)


@dataclass(frozen=True)
class PreprocRun:
    """What a finished preprocessing run holds; large parts are read when asked for."""

    path: Path
    name: str
    actor: str
    data_info: dict[str, Any]
    shots: tuple[Shot, ...]
    overrides: dict[str, Path] = field(default_factory=dict)
    faces: Topology = field(default_factory=Topology)  # go before those that the run keeps

    @cached_property
    def skin(self) -> Pca:
        """Basis of the skin."""
        return self._basis("skin")

    @cached_property
    def tongue(self) -> Pca:
        """Basis of the tongue; all zeros when the actor has none."""
        return self._basis("tongue")

    @cached_property
    def codec(self) -> FaceCodec:
        """The channels of the actor's face, meshes by coefficients, then groups of curves."""
        face = build_codec(self.data_info, {mesh: getattr(self, mesh) for mesh in MESHES})
        return FaceCodec((*face.channels, *self.curves.channels))

    @cached_property
    def curves(self) -> FaceCodec:
        """The groups of curves, if the actor has any. Raises UserError when their files are damaged."""
        try:
            return read_curve_channels(self.path / "deploy")
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UserError(f"preprocessing run {self.name}: {CHANNELS_FILE}: {error}; preprocess again") from error

    @property
    def poses(self) -> FaceCodec:
        """The same with vertices for coefficients."""
        return self.codec.on_vertices(self.mean_geometry)

    @cached_property
    def has_skin(self) -> bool:
        """Whether the actor has skin data."""
        return bool(self.skin.mean.any() or self.skin.components.any())

    @cached_property
    def has_tongue(self) -> bool:
        """Whether the actor has tongue data."""
        return bool(self.tongue.mean.any() or self.tongue.components.any())

    @cached_property
    def network_data(self) -> dict[str, np.ndarray]:
        """The arrays of network_data.npz, float32; of a mesh whose shapes are from elsewhere, those shapes."""
        data = self._npz("network_data")
        for mesh in self._foreign:
            basis, own = self._basis(mesh), self._basis(mesh, self.path / FILES[f"{mesh}_shapes"])
            data[f"shapes_matrix_{mesh}"] = basis.components
            if np.array_equal(data[f"shapes_mean_{mesh}"], own.mean):  # no neutral for inference was given
                data[f"shapes_mean_{mesh}"] = data[f"neutral_{mesh}"] = basis.mean
        return data

    @cached_property
    def mean_geometry(self) -> np.ndarray:
        """Normalised skin and tongue mean, then zeros for jaw and eyes (C,) float32."""
        values = self._read(self.file("mean_geometry"), lambda path: np.array(read_npy(path), np.float32))
        start = 0
        for mesh in MESHES if "mean_geometry" not in self.overrides else ():
            end = start + 3 * int(self.data_info[f"num_verts_{mesh}"])
            if mesh in self._foreign:
                offset = self.network_data[f"shapes_mean_{mesh}"] - np.float32(self.data_info[f"translate_{mesh}"])
                values[start:end] = (offset / np.float32(self.data_info[f"scale_{mesh}"])).ravel()
            start = end
        return values

    @property
    def blendshapes(self) -> dict[str, dict[str, Path]]:
        """{"skin" or "tongue": {"config": path, "data": path}}, for the meshes that have them."""
        deploy = self.path / "deploy"
        found = {
            m: {"config": deploy / f"bs_{m}_config_{self.actor}.json", "data": deploy / f"bs_{m}_{self.actor}.npz"}
            for m in MESHES
        }
        return {mesh: files for mesh, files in found.items() if all(path.is_file() for path in files.values())}

    @cached_property
    def topology(self) -> Topology:
        """The faces of the meshes, as far as they are known. Raises UserError when the run's file is damaged."""
        counts = (int(self.data_info[f"num_verts_{mesh}"]) for mesh in MESHES)
        try:
            check_file(self.path / "deploy" / TRIANGLES_FILE)
            return self.faces.over(read_topology(self.path / "deploy" / TRIANGLES_FILE, *counts))
        except ValueError as error:
            raise UserError(f"preprocessing run {self.name}: {error}; preprocess again") from error

    def skin_coeffs(self, shot: str) -> np.ndarray:
        """Skin coefficients (T, K) of a shot. Raises UserError when the run has no such shot."""
        if shot not in self._skin_coeffs:
            raise UserError(f"preprocessing run {self.name} has no skin coefficients of shot {shot!r}")
        return self._skin_coeffs[shot]

    def tongue_coeffs(self, shot: str) -> np.ndarray | None:
        """Tongue coefficients (T, Kt) of a shot, or None when it has no tongue data."""
        return self._tongue_coeffs.get(shot)

    def group_values(self, shot: str, group: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Values (T, K) in data units of a group of curves in a shot and which of them are known (T, K), or None without any."""
        values = self._curves.get(f"{shot}/{group}")
        return None if values is None else (values, self._curves[f"{shot}/{group}/known"].astype(bool))

    @property
    def clips(self) -> list[ClipRow]:
        """The clips that its template lists. Raises UserError when the file is damaged."""
        return self._read(self.file("clips_template"), read_clips_template)

    def release(self) -> None:
        """Give back the memory of values per frame, which are read anew when they are asked for."""
        for name in ("_skin_coeffs", "_tongue_coeffs", "_curves"):
            self.__dict__.pop(name, None)

    def file(self, part: str) -> Path:
        """The file of a part of the run: a key of FILES."""
        return self.overrides.get(part, self.path / FILES[part])

    @cached_property
    def _skin_coeffs(self) -> dict[str, np.ndarray]:
        return self._npz("skin_coeffs")

    @cached_property
    def _tongue_coeffs(self) -> dict[str, np.ndarray]:
        return self._npz("tongue_coeffs")

    @cached_property
    def _curves(self) -> dict[str, np.ndarray]:
        return self._read(self.path / CURVES_FILE, read_npz) if self.curves.channels else {}

    def _npz(self, part: str) -> dict[str, np.ndarray]:
        return self._read(self.file(part), read_npz)

    def _read(self, path: Path, read: Callable[[Path], Read]) -> Read:
        try:
            check_file(path)
            return read(path)
        except (OSError, ValueError) as error:
            raise UserError(f"preprocessing run {self.name}: cannot read {external_path(path)}: {error}") from error

    @property
    def _foreign(self) -> list[str]:
        """The meshes whose shapes are not the run's own."""
        return [mesh for mesh in MESHES if f"{mesh}_shapes" in self.overrides]

    def _basis(self, mesh: str, path: Path | None = None) -> Pca:
        path = path or self.file(f"{mesh}_shapes")
        arrays = self._read(path, read_npz)
        if "shapes_matrix" not in arrays or "shapes_mean" not in arrays:
            raise UserError(f"{external_path(path)}: expected arrays shapes_matrix and shapes_mean")
        components = np.asarray(arrays["shapes_matrix"], np.float32)
        variances = arrays.get("shapes_variance", np.zeros(len(components), np.float32))
        return Pca(components, np.asarray(arrays["shapes_mean"], np.float32), variances)


def load_preproc_run(folder: Path, overrides: Mapping[str, Path] | None = None) -> PreprocRun:
    """Open a finished run. `overrides` names other files for parts of it (keys of FILES).

    Raises UserError naming every file that is missing, or what is wrong with its JSON.
    """
    given = dict(overrides or {})
    unknown = set(given) - set(FILES)
    if unknown:
        raise ValueError(f"unknown parts of a preprocessing run: {', '.join(sorted(unknown))}")
    places = {part: given.get(part, folder / place) for part, place in FILES.items()}
    info_path = folder / "configs" / "actor_info.json"
    require_whole(folder, "preprocessing run", size_faults(folder), "preprocess again")
    missing = [path for path in (*places.values(), info_path) if not path.is_file()]
    if missing:
        raise UserError(
            [f"preprocessing run {folder.name}: {external_path(path)} is missing; preprocess again" for path in missing]
        )
    try:
        for path in (places["data_info"], places["shots"], places["clips_template"], info_path):
            check_file(path)
        actor = read_json(info_path)["actor_name"]
        data_info = read_json(places["data_info"])
        shots = tuple(Shot(*row) for row in read_json(places["shots"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"preprocessing run {folder.name}: damaged ({error!r}); preprocess again") from error
    run = PreprocRun(folder, folder.name, actor, data_info, shots, given)
    for mesh in MESHES:
        if f"{mesh}_shapes" in given:
            count, vertices = getattr(run, mesh).components.shape[:2]
            if vertices != data_info[f"num_verts_{mesh}"]:
                raise UserError(
                    f"{external_path(given[f'{mesh}_shapes'])}: shapes of {vertices} vertices, preprocessing run "
                    f"{folder.name} has {data_info[f'num_verts_{mesh}']}"
                )
            data_info[f"num_shapes_{mesh}"] = count
    return run


# ---- writing


def save_basis(folder: Path, mesh: str, pca: Pca, coeffs: Mapping[str, np.ndarray], stages: Mapping[str, Any]) -> None:
    """Write pca/<mesh>: basis, coefficients {shot: (T, K)} and, under intermediate/, each stage {shot: [frame, …]}."""
    arrays = {"shapes_matrix": pca.components, "shapes_mean": pca.mean, "shapes_variance": pca.variances}
    write_npz(folder / FILES[f"{mesh}_shapes"], {name: np.asarray(a, np.float32) for name, a in arrays.items()})
    write_npz(folder / FILES[f"{mesh}_coeffs"], coeffs)
    for name, frames in stages.items():
        write_json(folder / "pca" / mesh / "intermediate" / f"{name}.json", frames)


def save_deploy(
    folder: Path,
    network_data: Mapping[str, np.ndarray],
    data_info: Mapping[str, Any],
    mean_geometry: np.ndarray,
    shots: Sequence[Shot],
    clips: Sequence[ClipRow],
) -> None:
    """Write deploy/: what training and the deployed model need. Arrays become float32 in C order."""
    write_npz(folder / FILES["network_data"], {k: np.ascontiguousarray(v, np.float32) for k, v in network_data.items()})
    write_json(folder / FILES["data_info"], dict(data_info))
    write_npy(folder / FILES["mean_geometry"], np.asarray(mean_geometry, np.float32))
    write_json(folder / FILES["shots"], [[s.actor, s.name, s.num_frames, s.fps, s.emotion] for s in shots])
    with atomic(folder / FILES["clips_template"]) as temporary:
        temporary.write_text(clips_text(clips), encoding="utf-8")


def save_curves(folder: Path, values: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> None:
    """Write {group: {shot: (values (T, K), which are known (T, K))}} of an actor, if it has any."""
    arrays: dict[str, np.ndarray] = {}
    for group, shots in values.items():
        for shot, (table, known) in shots.items():
            arrays |= {
                f"{shot}/{group}": np.asarray(table, np.float32),
                f"{shot}/{group}/known": known.astype(np.uint8),
            }
    if arrays:
        write_npz(folder / CURVES_FILE, arrays)


def save_blendshapes(folder: Path, mesh: str, actor: str, arrays: Mapping[str, np.ndarray], config: Any) -> None:
    """Write the blendshapes of a mesh and their solver's settings into deploy/."""
    write_npz(folder / "deploy" / f"bs_{mesh}_{actor}.npz", {k: np.ascontiguousarray(v) for k, v in arrays.items()})
    write_json(folder / "deploy" / f"bs_{mesh}_config_{actor}.json", config)


def clips_text(clips: Sequence[ClipRow]) -> str:
    """The CLIPS list as Python source, one clip a line, to paste into config_train.py."""

    def quoted(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    rows = [
        f"    ({quoted(actor)}, {quoted(shot)}, ({first}, {last}), {quoted(speaker)}, {quoted(language)}, {quoted(sound)}, {offset}),"
        f"  # Shot: [{first}, {last}]\n"
        for actor, shot, (first, last), speaker, language, sound, offset in clips
    ]
    return "CLIPS = [\n" + "".join(rows) + "]\n"


def read_clips_template(path: Path) -> list[ClipRow]:
    """The CLIPS list of a preprocessing run's template. Raises ValueError when the file holds no literal list of clips."""
    try:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CLIPS":
                rows = ast.literal_eval(node.value)
                if isinstance(rows, list) and all(map(_is_row, rows)):
                    return rows
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:  # as Python says of nesting
        raise ValueError(f"{path}: expected a list of clips: {error}") from error
    raise ValueError(f"{path}: no CLIPS list of (actor, shot, (first, last), speaker, language, sound, offset)")


def _is_row(row: Any) -> bool:
    kinds = [str, str, tuple, str, str, str, int]
    return isinstance(row, tuple) and list(map(type, row)) == kinds and list(map(type, row[2])) == [int, int]
