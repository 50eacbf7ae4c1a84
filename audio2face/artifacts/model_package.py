"""A deployed model, `output_deploy/<training run>`: the folder that the Audio2Face-3D runtime loads.

Everything comes from the training run's own copies. A folder is written beside its final place, judged, and only then
renamed, so that a failure leaves an earlier model as it was. Needs neither PyTorch nor the data set.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.artifacts.emotion_db import MEAN_SHOT, write_emotion_db
from audio2face.artifacts.package_readme import regression_readme
from audio2face.artifacts.train_run import EMOTION_DB_FILE, ActorData, NetworkSpec, TrainRun, float32_arrays
from audio2face.formats.json_file import write_json
from audio2face.paths import atomic, external_path
from audio2face.types import UserError

logger = logging.getLogger(__name__)

ENGINE_FILE = "network.trt"
Check = Callable[[Path], list[str]]


def regression_network_info(spec: NetworkSpec, actor: ActorData, implicit_len: int) -> dict[str, Any]:
    """network_info.json of one actor's exported regression network."""
    sizes = actor.result_sizes
    return {
        "id": {"type": "regression", "actor": actor.actor, "version": spec.network_version, "output": "geometry"},
        "params": {
            "implicit_emotion_len": implicit_len,
            "explicit_emotions": list(spec.emotion_names),
            "default_emotion": spec.emotion_vector(None).tolist(),
            "identities": [actor.actor],
            "num_shapes_skin": sizes["skin_coeffs"],
            "num_verts_skin": int(actor.data_info["num_verts_skin"]),
            "num_shapes_tongue": sizes["tongue_coeffs"],
            "num_verts_tongue": int(actor.data_info["num_verts_tongue"]),
            "result_jaw_size": sizes["jaw"],
            "result_eyes_size": sizes["eye"],
        },
        "audio_params": dict(spec.audio_params),
    }


def actor_config(config: Mapping[str, Any], actor: str, actors: list[str]) -> dict[str, Any]:
    """One actor's CONFIG: the common values, then those under the actor's own name.

    Raises UserError when a nested dict is not named after an actor of the run.
    """
    unknown = [key for key, value in config.items() if isinstance(value, Mapping) and key not in actors]
    if unknown:
        raise UserError(
            f"CONFIG/{unknown[0]}: a dict inside CONFIG holds the values of one actor; "
            f"this run knows {', '.join(actors)}"
        )
    common = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    own = config.get(actor, {})
    return {**common, **(own if isinstance(own, Mapping) else {})}


def write_model(
    folder: Path, run: TrainRun, configs: Mapping[str, Mapping[str, Any]], check: Check | None = None
) -> None:
    """Write the deployed model of a regression run, replacing the folder if it exists.

    `configs` gives each actor's CONFIG (missing keys are not filled in). A single actor's model is `folder` itself,
    several actors' models are `folder/<actor>`. `check(folder)` returns what is wrong with a written model.
    Raises UserError with every problem; `folder` is then as it was.
    """
    if run.spec.network_type != "regression":
        raise UserError(f"training run {run.name}: cannot package a network of type {run.spec.network_type!r}")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    problems: list[str] = []
    try:
        for actor in run.spec.actors:
            parts = () if run.one_folder else (actor,)
            model = temporary.joinpath(*parts)
            _write_regression(model, run, actor, configs[actor])
            _keep_engine(folder.joinpath(*parts), model)
            problems += [f"{actor}: {problem}" for problem in (check(model) if check else ())]
        if problems:
            raise UserError(["the deployed model would not work:", *problems])
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_regression(folder: Path, run: TrainRun, actor: str, config: Mapping[str, Any]) -> None:
    exported = run.export_folder(actor)
    missing = [n for n in ("network.onnx", "network_info.json", "trt_info.json") if not (exported / n).is_file()]
    if missing:
        raise UserError(f"training run {run.name}: {external_path(exported)} lacks {', '.join(missing)}; train again")
    database = run.emotion_db(actor)
    shot, row = database.locate(config.get("source_shot"), config.get("source_frame"))
    data = run.actor(actor)
    folder.mkdir(parents=True)
    for path in sorted(exported.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            shutil.copyfile(path, folder / path.name)
    if shot == MEAN_SHOT and shot not in database.spans:
        write_emotion_db(folder / EMOTION_DB_FILE, database.with_mean())
    write_json(folder / "model_config.json", {"config": {**config, "source_shot": shot, "source_frame": row}})
    write_model_data(folder / "model_data.npz", data.network_data)
    model = {
        "networkInfoPath": "network_info.json",
        "networkPath": ENGINE_FILE,
        "modelConfigPath": "model_config.json",
        "modelDataPath": "model_data.npz",
        "emotionDatabasePath": EMOTION_DB_FILE,
        "blendshapePaths": copy_blendshapes(folder, data),
    }
    write_json(folder / "model.json", model)
    (folder / "README.md").write_text(regression_readme(run, data, database, shot, row), encoding="utf-8")


def write_model_data(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """model_data.npz: float32, C order, uncompressed. Raises UserError naming arrays that are not finite."""
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f"network_data.npz: {', '.join(bad)} is not finite; preprocess and train again")
    with atomic(path) as temporary:
        np.savez(temporary, **float32_arrays(arrays))  # type: ignore[arg-type]


def copy_blendshapes(folder: Path, actor: ActorData) -> dict[str, dict[str, str]]:
    """Copy the actor's blendshape files; returns their entry of model.json: {part: {"config": name, "data": name}}.

    A pose file whose array types the runtime would misread is rewritten with the right ones.
    """
    entries = {}
    for part, files in actor.blendshapes.items():
        shutil.copyfile(files["config"], folder / files["config"].name)
        target = folder / files["data"].name
        with np.load(files["data"], allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        fixed = {name: _runtime_type(array) for name, array in arrays.items()}
        if all(fixed[name] is array for name, array in arrays.items()) and _is_stored(files["data"]):
            shutil.copyfile(files["data"], target)
        else:
            logger.info("%s: array types changed to what the runtime reads", target.name)
            with atomic(target) as temporary:
                np.savez(temporary, **fixed)  # type: ignore[arg-type]
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


def _keep_engine(old: Path, new: Path) -> None:
    """Carry a TensorRT engine over from the model being replaced, when its network is the same."""
    engine = old / ENGINE_FILE
    if engine.is_file() and (old / "network.onnx").is_file():
        if filecmp.cmp(old / "network.onnx", new / "network.onnx", shallow=False):
            shutil.copy2(engine, new / ENGINE_FILE)
        else:
            logger.warning("%s was built from another network and is left out: build it again", external_path(engine))


def _replace(new: Path, target: Path) -> None:
    """Put folder `new` in the place of `target`; `target` is untouched or complete at every moment."""
    old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    existed = target.exists()
    if existed:
        os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        if existed:
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
