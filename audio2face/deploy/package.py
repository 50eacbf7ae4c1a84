"""A deployed model, `output_deploy/<training run>`: the folder that the Audio2Face-3D runtime loads.

Everything comes from the training run's own copies. A folder is written beside its final place, judged, and only then
renamed, so that a failure leaves an earlier model as it was. Needs neither PyTorch nor the data set.

Called by `commands.deploy`; next: `deploy.check`, which judges the folder, and `inference.package`, which reads it.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audio2face.deploy.files import copy_blendshapes, copy_export, copy_topology, require_export, write_model_data
from audio2face.face.codec import part_of
from audio2face.formats.json_file import write_json
from audio2face.models.diffusion.readme import diffusion_readme
from audio2face.models.regression.readme import regression_readme
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.emotion_db import MEAN_SHOT, write_emotion_db
from audio2face.runs.train_run import EMOTION_DB_FILE, ActorData, NetworkSpec, TrainRun

logger = logging.getLogger(__name__)

ENGINE_FILE = "network.trt"
KILLED_AGE_S = 3600.0  # nobody takes so long to write one model
Check = Callable[[Path], list[str]]


def regression_network_info(spec: NetworkSpec, actor: ActorData, implicit_len: int) -> dict[str, Any]:
    """network_info.json of one actor's exported regression network."""
    sizes = actor.codec.layout.sizes
    return {
        "id": {"type": "regression", "actor": actor.actor, "version": spec.network_version, "output": "geometry"},
        "params": {
            "implicit_emotion_len": implicit_len,
            "explicit_emotions": spec.emotion_inputs,
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
    """Write the deployed model of a training run, replacing the folder if it exists.

    `configs` gives each actor's CONFIG (missing keys are not filled in). The models of several actors of a regression
    run are `folder/<actor>`; any other model is `folder` itself. `check(folder)` returns what is wrong with a written
    model. Raises UserError with every problem; `folder` is then unchanged.
    """
    if run.spec.network_type not in WRITERS:
        raise UserError(f"training run {run.name}: cannot package a network of type {run.spec.network_type!r}")
    trained = {part_of(name) for name in run.spec.channels}
    still = [a for a in run.spec.actors if "skin" not in trained - {part_of(name) for name in run.spec.at_rest(a)}]
    if still:
        raise UserError(
            f"training run {run.name} has no skin of {', '.join(still)}, and a deployed model needs one; the run itself "
            "animates with run_inference.py"
        )
    _repair(folder)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    problems: list[str] = []
    try:
        for part in ("",) if run.one_folder else run.spec.actors:
            actor = part or run.spec.actors[0]
            model = temporary / part
            WRITERS[run.spec.network_type](model, run, actor, configs)
            _keep_engine(folder / part, model)
            problems += [f"{part or run.name}: {problem}" for problem in (check(model) if check else ())]
        if problems:
            raise UserError(["the deployed model would not work:", *problems])
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_regression(folder: Path, run: TrainRun, actor: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
    config = configs[actor]
    require_export(run, actor)
    database = run.emotion_db(actor)
    shot, row = database.locate(config.get("source_shot"), config.get("source_frame"))
    data = run.actor(actor)
    copy_export(run, actor, folder)
    if shot == MEAN_SHOT and shot not in database.spans:
        write_emotion_db(folder / EMOTION_DB_FILE, database.with_mean())
    write_json(folder / "model_config.json", {"config": {**config, "source_shot": shot, "source_frame": row}})
    write_model_data(folder / "model_data.npz", data.network_data)
    copy_topology(folder, data)
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


def _write_diffusion(folder: Path, run: TrainRun, _: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """One network for all actors, and each actor's data beside it, in identity order."""
    actors = [run.actor(name) for name in run.spec.actors]
    require_export(run, run.spec.actors[0])
    copy_export(run, run.spec.actors[0], folder)
    for actor in actors:
        write_json(folder / f"model_config_{actor.actor}.json", {"config": dict(configs[actor.actor])})
        write_model_data(folder / f"model_data_{actor.actor}.npz", actor.network_data)
        copy_topology(folder, actor)
    model = {
        "networkInfoPath": "network_info.json",
        "networkPath": ENGINE_FILE,
        "modelConfigPaths": [f"model_config_{actor.actor}.json" for actor in actors],
        "modelDataPaths": [f"model_data_{actor.actor}.npz" for actor in actors],
        "blendshapePaths": [copy_blendshapes(folder, actor) for actor in actors],
    }
    write_json(folder / "model.json", model)
    (folder / "README.md").write_text(diffusion_readme(run, actors), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, TrainRun, str, Mapping[str, Mapping[str, Any]]], None]] = {
    "regression": _write_regression,
    "diffusion": _write_diffusion,
}


def _keep_engine(old: Path, new: Path) -> None:
    """Carry a TensorRT engine over from the model being replaced, when its network is the same."""
    engine = old / ENGINE_FILE
    if engine.is_file() and (old / "network.onnx").is_file():
        if filecmp.cmp(old / "network.onnx", new / "network.onnx", shallow=False):
            shutil.copy2(engine, new / ENGINE_FILE)
        else:
            logger.warning("%s was built from another network and is not kept: build it again", external_path(engine))


def _replace(new: Path, target: Path) -> None:
    """Replace folder `target` by `new`; when that fails, `target` is untouched.

    A process that is killed between the two renames leaves the old model under its temporary name: see `_repair`.
    """
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


def _repair(target: Path) -> None:
    """Recover from a process that was killed while it deployed the same run."""
    for old in sorted(target.parent.glob(f".{target.name}.????????.old")):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, target)
    for partial in target.parent.glob(f".{target.name}.????????.partial"):
        if time.time() - partial.stat().st_mtime > KILLED_AGE_S:
            shutil.rmtree(partial, ignore_errors=True)
