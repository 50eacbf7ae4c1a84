"""The middle of `run_train.py`: train into the folder of a run, save the weights and export them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.distributed import World
from audio2face.models.common.inputs import Training
from audio2face.models.common.weights import save_weights
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.checkpoints import checkpoint_files, frozen_weights, load_checkpoint, save_checkpoint
from audio2face.runs.manifest import write_manifest
from audio2face.runs.run_dir import finish_run
from audio2face.runs.train_run import EXPORTS, TrainRun, load_train_run
from audio2face.training.checkpoint_writer import CheckpointWriter
from audio2face.training.loop import fit
from audio2face.training.nan_guard import TrainingDiverged
from audio2face.training.previews import Previews
from audio2face.training.progress import Stop, TensorBoard
from audio2face.training.resume import mark_stopped
from audio2face.training.validation import EarlyStopping, rewind

logger = logging.getLogger(__name__)


def train_and_export(folder: Path, training: Training, train: Section, world: World) -> int | None:
    """Train, save and export into a run's folder; returns the signal that stopped it, if one did.

    The first of several processes writes what there is to write.
    """
    stop, state = Stop(), load_checkpoint(folder, training.method.model)
    step = state["step"] if state else 0
    if state:
        logger.info("continuing after step %d (epoch %d)", step, state["epoch"] + 1)
    if world.first:
        rewind(folder, step)
    with stop.on_signals(), TensorBoard(folder, world.first, step) as board:
        validate = preview = None
        if training.validate:
            validate = EarlyStopping.from_config(train, training.validate, folder, board.log, world.first)
            validate.load_state_dict(state and state.get("watch"))
        elif train.EARLY_STOPPING_PATIENCE or train.EXPORT_WEIGHTS == "best":
            logger.warning("nothing is measured: EARLY_STOPPING_PATIENCE and EXPORT_WEIGHTS have no effect")
        if training.preview and world.first:
            preview = Previews.from_config(train, training.preview, folder, board.show)

        frozen = frozen_weights(training.method.model)

        def write(state: dict[str, Any]) -> None:
            path = save_checkpoint(folder, state, train.CHECKPOINT_KEEP, frozen)
            logger.info("checkpoint: %s", external_path(path))

        def save(state: dict[str, Any]) -> int:
            trained = {name: value for name, value in state["model"].items() if name not in frozen}
            return writer({**state, "model": trained, "watch": validate and validate.state_dict()})

        try:
            with CheckpointWriter(write) as writer:
                steps = fit(
                    training.method,
                    training.settings,
                    board.log,
                    stop,
                    save=save if world.first else None,
                    resume=state,
                    validate=validate,
                    preview=preview,
                    world=world,
                    advice=training.advice,
                )
        except TrainingDiverged as error:
            good = folder / "weights_last_good.pth"
            if world.first:
                save_weights(good, training.network)
            then = "continue from its newest checkpoint with --resume" if checkpoint_files(folder) else "start again"
            raise UserError(f"{error}. The last good weights are in {external_path(good)}; {then}") from error
        stopped = world.any_rank([stop.requested])[0]
        world.destroy()
        if world.first:
            if validate and train.EXPORT_WEIGHTS == "best":
                validate.load_best(training.method.model)
            if training.finish:
                training.finish()
            save_weights(folder / "weights.pth", training.network)
            logger.info("weights after %d steps: %s", steps, external_path(folder / "weights.pth"))
            _export(training, load_train_run(folder))
            mark_stopped(folder, stopped)
            finish_run(folder)
    return int(stop.signal) if stopped else None


def _export(training: Training, training_run: TrainRun) -> None:
    if training.export is None:
        logger.info("a %s is not exported: the run animates with run_inference.py", training_run.spec.network_name)
        return
    try:
        training.export(training_run)
        write_manifest(training_run.path / EXPORTS)
    except Exception:
        logger.error("the export failed; the weights are kept in %s", external_path(training_run.weights))
        raise
