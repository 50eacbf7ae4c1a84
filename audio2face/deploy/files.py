"""The files that every deployed model has: the exported network, an actor's geometry and blendshapes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audio2face.face.topology import write_topology
from audio2face.formats.npy import read_npz, write_npz
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.manifest import MANIFEST_FILE, check_file
from audio2face.runs.train_run import ActorData, TrainRun, float32_arrays, undamaged

logger = logging.getLogger(__name__)


def require_export(run: TrainRun, actor: str) -> None:
    """Raise UserError when the exported network that animates `actor` is not complete, or not what was exported."""
    exported = run.export_folder(actor)
    missing = [n for n in ("network.onnx", "network_info.json", "trt_info.json") if not (exported / n).is_file()]
    if missing:
        raise UserError(f"training run {run.name}: {external_path(exported)} lacks {', '.join(missing)}; train again")
    with undamaged(run.name):
        for path in _exported(exported):
            check_file(path)


def copy_export(run: TrainRun, actor: str, folder: Path) -> None:
    """Copy the exported network that animates `actor`, and what lies beside it, into a new folder."""
    folder.mkdir(parents=True)
    for path in _exported(run.export_folder(actor)):
        shutil.copyfile(path, folder / path.name)


def _exported(folder: Path) -> list[Path]:
    """The files of an exported network."""
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in found if path.name != MANIFEST_FILE)


def write_model_data(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """model_data.npz: float32, C order, uncompressed. Raises UserError naming arrays that are not finite."""
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f"network_data.npz: {', '.join(bad)} is not finite; preprocess and train again")
    write_npz(path, float32_arrays(arrays))


def copy_topology(folder: Path, actor: ActorData) -> None:
    """Write the faces of the actor's meshes, if known, as triangles_<actor>.npz. The runtime does not read it."""
    if actor.topology:
        write_topology(folder / f"triangles_{actor.actor}.npz", actor.topology)


def copy_blendshapes(folder: Path, actor: ActorData) -> dict[str, dict[str, str]]:
    """Copy the actor's blendshape files; returns their entry of model.json: {part: {"config": name, "data": name}}.

    A pose file whose array types the runtime would misread is rewritten with the right ones.
    """
    entries = {}
    for part, files in actor.blendshapes.items():
        shutil.copyfile(files["config"], folder / files["config"].name)
        target = folder / files["data"].name
        arrays = read_npz(files["data"])
        fixed = {name: _runtime_type(array) for name, array in arrays.items()}
        if all(fixed[name] is array for name, array in arrays.items()) and _is_stored(files["data"]):
            shutil.copyfile(files["data"], target)
        else:
            logger.info("%s: array types changed to what the runtime reads", target.name)
            write_npz(target, fixed)
        entries[part] = {"config": files["config"].name, "data": target.name}
    if set(entries) != {"skin", "tongue"}:
        lacking = " and ".join(part for part in ("skin", "tongue") if part not in entries)
        logger.warning(
            "actor %s has no %s blendshapes: the model gives geometry, but no blendshape weights", actor.actor, lacking
        )
    return entries


def _runtime_type(array: np.ndarray) -> np.ndarray:
    """The array itself when the runtime reads its type rightly, else a converted copy."""
    if array.dtype.kind == "S":
        return array
    if array.dtype.kind == "U":
        return np.char.encode(array, "utf-8") if array.size else array.astype("S1")
    wanted = "<f4" if array.dtype.kind == "f" else "<i4"
    if array.dtype == np.dtype(wanted) and array.flags.c_contiguous:
        return array
    if array.dtype.kind == "b" and array.ndim == 1:  # a mask over vertices: the runtime wants their indices
        return np.flatnonzero(array).astype("<i4")
    return np.require(array, dtype=wanted, requirements=["C"])


def _is_stored(path: Path) -> bool:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
