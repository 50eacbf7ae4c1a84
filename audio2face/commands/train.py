"""`run_train.py`: train a network on one or more actors and export it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from audio2face import runtime as runtimes
from audio2face.artifacts.run_dir import finish_run, new_run, write_provenance
from audio2face.artifacts.train_run import write_train_run
from audio2face.config import Section, load_config
from audio2face.methods import diffusion_setup, regression_setup
from audio2face.methods.setup import Inputs, Training, build_inputs
from audio2face.networks import save_weights
from audio2face.paths import external_path, local_path
from audio2face.runtime import Runtime
from audio2face.training import Stop, TrainingDiverged, fit

logger = logging.getLogger(__name__)

METHODS: dict[str, Callable[[Inputs, Runtime], Training]] = {
    "regression": regression_setup.build,
    "diffusion": diffusion_setup.build,
}


def run(config_name: str) -> str:
    """Train the project `config_name` and return the full name of the run in TRAIN_OUTPUT_ROOT.

    Ctrl-C or SIGTERM ends training after the current step; what there is is saved and exported, then KeyboardInterrupt
    is raised with the run's name. Raises UserError for mistakes in the config or the data, before any folder is made.
    """
    sections = load_config(config_name, ("train", "dataset"), optional=("inference",))
    train, dataset = sections["train"], sections["dataset"]
    runtime = runtimes.start(train.RNG_SEED_TORCH, train.REPRODUCIBLE)
    inputs = build_inputs(config_name, train, dataset, sections.get("inference"))
    training = METHODS[train.NETWORK_TYPE](inputs, runtime)
    folder = new_run(local_path(train.TRAIN_OUTPUT_ROOT), train.RUN_NAME)
    runtimes.setup_logging(folder / "log.log")
    _write_settings(folder, sections, inputs)
    run = write_train_run(folder, training.spec, inputs.runs)
    stop = Stop()
    with stop.on_signals(), _TensorBoard(folder) as board:
        steps = _fit(training, board, stop, folder)
        save_weights(folder / "weights.pth", training.network)
        logger.info("weights after %d steps: %s", steps, external_path(folder / "weights.pth"))
        training.export(run)
    finish_run(folder)
    logger.info("training run: %s", external_path(folder))
    if stop.requested:
        raise KeyboardInterrupt(folder.name)
    return folder.name


def _fit(training: Training, board: _TensorBoard, stop: Stop, folder: Path) -> int:
    try:
        return fit(training.method, training.settings, board.log, stop)
    except TrainingDiverged:
        save_weights(folder / "weights_last_good.pth", training.network)
        raise


def _write_settings(folder: Path, sections: dict[str, Section], inputs: Inputs) -> None:
    names = {actor: run.name for actor, run in inputs.runs.items()}
    write_provenance(folder, sections, sections["train"].RUN_INFO, {"preproc_info": {"preproc_run_name_full": names}})


class _TensorBoard:
    """Scalars of a run as TensorBoard events."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> _TensorBoard:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder))
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def __exit__(self, *_: object) -> None:
        self._writer.close()
