"""A deployed model, `output_deploy/<training run>`: the folder that the Audio2Face-3D runtime loads.

Everything comes from the training run's own copies. A folder is written beside its final place, brought to the disk with its
manifest, judged, and only then exchanged with an earlier model, so that a failure leaves that one as it was. Needs neither
PyTorch nor the data set.

Called by `commands.deploy`; next: `deploy.check`, which judges the folder, and `inference.package`, which reads it.
"""

from __future__ import annotations

import filecmp
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audio2face.face.codec import part_of
from audio2face.paths import external_path, partial_folder, repair_folder, replace_folder
from audio2face.problems import UserError
from audio2face.runs.manifest import write_manifest
from audio2face.runs.train_run import TrainRun, undamaged

logger = logging.getLogger(__name__)

ENGINE_FILE = "network.trt"
Check = Callable[[Path], list[str]]
Package = Callable[[Path, TrainRun, str, Mapping[str, Mapping[str, Any]]], None]


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
    folder: Path, run: TrainRun, configs: Mapping[str, Mapping[str, Any]], package: Package, check: Check | None = None
) -> None:
    """Write the deployed model of a training run, replacing the folder if it exists.

    `configs` gives each actor's CONFIG (missing keys are not filled in); `package(folder, run, actor, configs)` writes one
    model. Where actors have networks of their own, their models are `folder/<actor>`, else `folder` itself.
    `check(folder)` returns what is wrong with all that was written. Raises UserError with every problem; `folder` is then
    unchanged.
    """
    trained = {part_of(name) for name in run.spec.channels}
    still = [a for a in run.spec.actors if "skin" not in trained - {part_of(name) for name in run.spec.at_rest(a)}]
    if still and run.spec.groups:
        logger.info(
            "%s: no face mesh, so that NVIDIA's runtime cannot show it; audio2face.load_model, the server and the viewer can",
            run.name,
        )
    elif still:
        raise UserError(
            f"training run {run.name} has no skin of {', '.join(still)}, and a deployed model needs one; the run itself "
            "animates with run_inference.py"
        )
    repair_folder(folder)
    temporary = partial_folder(folder)
    try:
        for part in ("",) if run.one_folder else run.spec.actors:
            actor = part or run.spec.actors[0]
            model = temporary / part
            with undamaged(run.name):
                package(model, run, actor, configs)
            _keep_engine(folder / part, model)
            write_manifest(model)
        problems = check(temporary) if check else []
        if problems:
            raise UserError(["the deployed model would not work:", *problems])
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _keep_engine(old: Path, new: Path) -> None:
    """Carry a TensorRT engine over from the model being replaced, when its network is the same."""
    engine = old / ENGINE_FILE
    if engine.is_file() and (old / "network.onnx").is_file():
        if filecmp.cmp(old / "network.onnx", new / "network.onnx", shallow=False):
            shutil.copy2(engine, new / ENGINE_FILE)
        else:
            logger.warning("%s was built from another network and is not kept: build it again", external_path(engine))
