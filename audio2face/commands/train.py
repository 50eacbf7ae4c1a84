"""`run_train.py`: train a network on one or more actors and export it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from audio2face import runtime as runtimes
from audio2face.commands.train_fit import train_and_export
from audio2face.config import load_config
from audio2face.dataset.quick_check import accept, check_trained, report_problems
from audio2face.lazy import lazy
from audio2face.models import family
from audio2face.models.common.inputs import Inputs, build_inputs
from audio2face.paths import external_path, local_path
from audio2face.runs.checkpoints import space_needed
from audio2face.runs.disk import disk_faults, require_space
from audio2face.runs.run_dir import (
    leave_run,
    resume_run,
)
from audio2face.runs.train_run import write_train_run
from audio2face.training.launch import Outcome, build_process_count, train_together, worker
from audio2face.training.resume import began_with, build_folder, find_unfinished

logger = logging.getLogger(__name__)

export_again = lazy("audio2face.commands.train_export", "export_again")


def run(config_name: str, resume: str | None = None, export: str | None = None) -> Outcome:
    """Train the project `config_name`; the outcome names the run in TRAIN_OUTPUT_ROOT.

    `resume` is the full name of an unfinished run, or `latest`: training continues from its newest checkpoint and, on the
    CPU, ends with the very weights of an uninterrupted run. `export` is the full name of a run whose weights are exported
    again, without training.

    Ctrl-C or SIGTERM ends training after the current step; what there is is saved and exported. With NUM_PROCESSES, or when
    torchrun has started this, several processes train together. Raises UserError for mistakes in the config or the data,
    before any folder is made.
    """
    sections = load_config(config_name, ("train", "dataset"), optional=("inference", "preproc"))
    train, dataset = sections["train"], sections["dataset"]
    root = local_path(train.TRAIN_OUTPUT_ROOT)
    if export:
        return Outcome(export_again(root, export, train, config_name))
    folder = find_unfinished(root, train.RUN_NAME, sections, resume, config_name) if resume else None
    count = build_process_count(train)
    if count > 1:
        return train_together("audio2face.commands.train", config_name, folder.name if folder else None, count)
    runtime = runtimes.start(train.RNG_SEED_TORCH, train.REPRODUCIBLE, together=True)
    inputs = build_inputs(
        config_name, train, dataset, sections.get("inference"), began_with(folder), sections.get("preproc")
    )
    report_problems(accept(check_trained(dataset, train, inputs.runs, inputs.files), dataset.SKIP_DATA_CHECKS))
    network = family(train.NETWORK_TYPE, train.NETWORK_NAME)
    if not network.hears_partner and any(clip.partner for clip in inputs.clips):
        logger.warning("%s hears the actor alone: what the partner says has no effect", train.NETWORK_NAME)
    training = network.build(inputs, runtime)
    needed = space_needed(training.network, training.settings.ema_decay is not None, train.CHECKPOINT_KEEP)
    require_space(root, needed, f"training, with CHECKPOINT_KEEP = {train.CHECKPOINT_KEEP},")
    then = f"free space there, then go on with: python run_train.py {config_name} --resume"
    with disk_faults(root, "training", then, needed):
        runtime.world.all_gather(None)  # all have found the folder: from here on it is taken
        if runtime.world.first:
            folder = folder or build_folder(root, sections, {"preproc_info": _preproc_info(inputs)})
            resume_run(folder)
            runtimes.setup_logging(folder / "log.log")
            write_train_run(folder, training.spec, inputs.runs)
        folder = root / runtime.world.all_gather(folder and folder.name)[0]
        try:
            stopped_by = train_and_export(folder, training, train, runtime.world)
        finally:
            leave_run(folder)
    logger.info("training run: %s", external_path(folder))
    if stopped_by:
        logger.info("to continue it later: python run_train.py %s --resume %s", config_name, folder.name)
    return Outcome(folder.name, stopped_by, training.export is not None)


def _preproc_info(inputs: Inputs) -> dict[str, Any]:
    return {"preproc_run_name_full": {actor: run.name for actor, run in inputs.runs.items()}}


if __name__ == "__main__":  # one of several processes that `train_together` has started
    sys.exit(worker(sys.argv[1:], run))
