"""`run_train.py`: train a network on one or more actors and export it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio2face import runtime as runtimes
from audio2face.config import Section, load_config
from audio2face.dataset.quick_check import accept, check_trained, report_problems
from audio2face.distributed import World, local_count, under_torchrun
from audio2face.machine import num_cores
from audio2face.models.common.inputs import Inputs, Training, build_inputs
from audio2face.models.common.weights import save_weights
from audio2face.models.diffusion import build as diffusion_setup
from audio2face.models.regression import build as regression_setup
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.checkpoints import checkpoint_files, load_checkpoint, save_checkpoint, space_needed
from audio2face.runs.disk import disk_faults, require_space
from audio2face.runs.run_dir import (
    LATEST,
    finish_run,
    is_complete,
    is_running,
    leave_run,
    listing,
    resolve_run,
    resume_run,
)
from audio2face.runs.train_run import TrainRun, load_train_run, write_train_run
from audio2face.runtime import Runtime
from audio2face.training.launch import train_together
from audio2face.training.loop import Fit, fit
from audio2face.training.nan_guard import TrainingDiverged
from audio2face.training.previews import Previews
from audio2face.training.progress import Stop
from audio2face.training.resume import began_with, find_unfinished, mark_stopped, start_folder
from audio2face.training.watch import Watch, after_epoch, rewind

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

METHODS: dict[str, Callable[[Inputs, Runtime], Training]] = {
    "regression": regression_setup.build,
    "diffusion": diffusion_setup.build,
}


def run(config_name: str, resume: str | None = None, export: str | None = None) -> str:
    """Train the project `config_name` and return the full name of the run in TRAIN_OUTPUT_ROOT.

    `resume` is the full name of an unfinished run, or `latest`: training goes on from its newest checkpoint and, on the
    CPU, ends with the very weights of an uninterrupted run.

    `export` is the full name of a run whose weights are exported again, without training.

    Ctrl-C or SIGTERM ends training after the current step; what there is is saved and exported, then KeyboardInterrupt
    is raised with the run's name and the signal. With NUM_PROCESSES, or when torchrun has started this, several processes
    train together. Raises UserError for mistakes in the config or the data, before any folder is made.
    """
    sections = load_config(config_name, ("train", "dataset"), optional=("inference", "preproc"))
    train, dataset = sections["train"], sections["dataset"]
    root = local_path(train.TRAIN_OUTPUT_ROOT)
    if export:
        return export_again(root, export, train, config_name)
    folder = find_unfinished(root, sections, resume, config_name) if resume else None
    count = num_processes(train)
    if count > 1:
        return train_together(config_name, folder.name if folder else None, count)
    runtime = runtimes.start(train.RNG_SEED_TORCH, train.REPRODUCIBLE, together=True)
    inputs = build_inputs(
        config_name, train, dataset, sections.get("inference"), began_with(folder), sections.get("preproc")
    )
    report_problems(accept(check_trained(dataset, train, inputs.runs, inputs.files), dataset.SKIP_DATA_CHECKS))
    training = METHODS[train.NETWORK_TYPE](inputs, runtime)
    needed = space_needed(training.network, training.settings.ema_decay is not None, train.CHECKPOINT_KEEP)
    require_space(root, needed, f"training, with CHECKPOINT_KEEP = {train.CHECKPOINT_KEEP},")
    then = f"free space there, then go on with: python run_train.py {config_name} --resume"
    with disk_faults(root, "training", then, needed):
        runtime.world.all_gather(None)  # all have found the folder: from here on it is taken
        if runtime.world.first:
            folder = folder or start_folder(root, sections, {"preproc_info": _preproc_info(inputs)})
            resume_run(folder)
            runtimes.setup_logging(folder / "log.log")
            write_train_run(folder, training.spec, inputs.runs)
        folder = root / runtime.world.all_gather(folder and folder.name)[0]
        try:
            stop = _train(folder, training, train, runtime.world)
        finally:
            leave_run(folder)
    logger.info("training run: %s", external_path(folder))
    if stop.requested:
        logger.info("to go on with it later: python run_train.py %s --resume %s", config_name, folder.name)
        raise KeyboardInterrupt(folder.name, stop.signal)
    return folder.name


def _train(folder: Path, training: Training, train: Section, world: World) -> Stop:
    """Train, save and export; the first of several processes writes what there is to write."""
    stop, state = Stop(), load_checkpoint(folder)
    step = state["step"] if state else 0
    if world.first:
        rewind(folder, step)
    with stop.on_signals(), _TensorBoard(folder, world.first, step) as board:
        watch = Watch.from_config(train, training.validate, folder, board.log) if training.validate else None
        if not watch and (train.EARLY_STOPPING_PATIENCE or train.EXPORT_WEIGHTS == "best"):
            logger.warning("nothing is measured: EARLY_STOPPING_PATIENCE and EXPORT_WEIGHTS have no effect")
        if watch and not world.first:
            watch.writing = False
        steps = _fit(training, board, stop, folder, train, watch, world, state)
        stop.requested = world.any_rank([stop.requested])[0]
        world.destroy()
        if world.first:
            if watch and train.EXPORT_WEIGHTS == "best":
                watch.take_best(training.method.model)
            save_weights(folder / "weights.pth", training.network)
            logger.info("weights after %d steps: %s", steps, external_path(folder / "weights.pth"))
            _export(training, load_train_run(folder))
            mark_stopped(folder, stop.requested)
            finish_run(folder)
    return stop


def num_processes(train: Section) -> int:
    """How many processes to start: 1 when torchrun has started this one already. Raises UserError when they cannot be."""
    wanted = train.NUM_PROCESSES
    if under_torchrun():
        if wanted not in (None, local_count()):
            raise UserError(
                f"config_train.py: NUM_PROCESSES = {wanted}, but torchrun has started {local_count()} process(es) on this "
                "machine: leave NUM_PROCESSES out (None), or start without torchrun"
            )
        return 1
    devices = runtimes.num_devices()
    most, what = (devices, "GPU(s)") if devices else (num_cores(), "CPU core(s)")
    if wanted is not None and wanted > most:
        raise UserError(f"config_train.py: NUM_PROCESSES = {wanted}, but PyTorch can use {most} {what} here")
    chosen = wanted or max(min(devices, train.BATCH_SIZE), 1)
    if train.BATCH_SIZE < (wanted or devices):
        logger.warning(
            "a batch of BATCH_SIZE = %d cannot keep %d processes busy: raise it (and lower GRADIENT_ACCUMULATION_STEPS)",
            train.BATCH_SIZE,
            wanted or devices,
        )
    return chosen


def export_again(root: Path, name: str, train: Section, config_name: str) -> str:
    """Export the saved weights of a run, finished or not, and mark it finished. Raises UserError without weights."""
    folder = resolve_run(root, name, what="training", run_name=train.RUN_NAME) if name == LATEST else root / name
    if not folder.is_dir():
        raise UserError(f"training run {name} not found in {external_path(root)}{listing(root)}")
    if is_running(folder):
        raise UserError(f"training run {name} is still being trained by another process")
    training_run = load_train_run(folder)
    if not training_run.weights.is_file() and not is_complete(folder):
        again = f"python run_train.py {config_name} --resume {folder.name}"
        raise UserError(
            f"training run {folder.name} has no weights yet, its training did not end; go on with it: {again}"
        )
    EXPORTERS[training_run.spec.network_type](training_run, train)
    if not is_complete(folder):
        mark_stopped(folder, True)  # it may yet be gone on with
    finish_run(folder)
    return folder.name


def _export_regression(training_run: TrainRun, train: Section) -> None:
    from audio2face.models.regression.export import export_regression
    from audio2face.models.regression.load import load_network

    network = load_network(training_run, runtimes.choose_device("cpu"))
    databases = {actor: training_run.emotion_db(actor) for actor in training_run.spec.actors}
    export_regression(network, training_run, databases, None, train.ONNX_OPSET, train.ONNX_EXPORTER)


def _export_diffusion(training_run: TrainRun, train: Section) -> None:
    from audio2face.models.diffusion.export import export_diffusion
    from audio2face.models.diffusion.load import load_network

    export_diffusion(load_network(training_run), training_run, train.ONNX_OPSET, train.ONNX_EXPORTER)


EXPORTERS: dict[str, Callable[[TrainRun, Section], None]] = {
    "regression": _export_regression,
    "diffusion": _export_diffusion,
}


def _preproc_info(inputs: Inputs) -> dict[str, Any]:
    return {"preproc_run_name_full": {actor: run.name for actor, run in inputs.runs.items()}}


def _fit(
    training: Training,
    board: _TensorBoard,
    stop: Stop,
    folder: Path,
    train: Section,
    watch: Watch | None,
    world: World,
    state: dict[str, Any] | None,
) -> int:
    """Train, from the checkpoint `state` on when there is one. Returns the number of steps done."""
    if state:
        logger.info("going on after step %d (epoch %d)", state["step"], state["epoch"] + 1)
        if watch and state.get("watch"):
            watch.load_state_dict(state["watch"])

    tasks: list[Callable[[Fit], bool | None]] = [watch] if watch else []
    if training.preview and world.first:
        tasks.append(Previews.from_config(train, training.preview, folder, board.show))

    def save(state: dict[str, Any]) -> None:
        _save(folder, {**state, "watch": watch.state_dict() if watch else None}, train.CHECKPOINT_KEEP)

    try:
        return fit(
            training.method,
            training.settings,
            board.log,
            stop,
            save if world.first else None,
            state,
            after_epoch(tasks),
            world,
            training.shorter,
        )
    except TrainingDiverged as error:
        good = folder / "weights_last_good.pth"
        if world.first:
            save_weights(good, training.network)
        then = "go on from its newest checkpoint with --resume" if checkpoint_files(folder) else "start again"
        raise UserError(f"{error}. The last good weights are in {external_path(good)}; {then}") from error


def _save(folder: Path, state: dict[str, Any], keep: int) -> None:
    path = save_checkpoint(folder, state, keep)
    logger.info("checkpoint: %s", external_path(path))


def _export(training: Training, training_run: TrainRun) -> None:
    try:
        training.export(training_run)
    except Exception:
        logger.error("the export failed; the weights are kept in %s", external_path(training_run.weights))
        raise


class _TensorBoard:
    """Scalars and pictures of a run as TensorBoard events; none when not `writing`."""

    def __init__(self, folder: Path, writing: bool, step: int = 0):
        self._folder, self._writing, self._step = folder, writing, step
        self._writer: Any = None

    def __enter__(self) -> _TensorBoard:
        if self._writing:
            from torch.utils.tensorboard import SummaryWriter

            anew = self._step + 1 if self._step else None  # what came after the checkpoint is written again
            self._writer = SummaryWriter(str(self._folder), purge_step=anew)
        return self

    def log(self, step: int, values: dict[str, float], group: str = "train") -> None:
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def show(self, step: int, name: str, picture: np.ndarray) -> None:
        if self._writer:
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()
