"""The training run that a command works on, and the post-processing values that go with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio2face.commands.late_files import with_late_files
from audio2face.config import Section, load_config, section_from_values
from audio2face.deploy.package import actor_config
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.manifest import MANIFEST_FILE
from audio2face.runs.run_dir import LATEST, resolve_run
from audio2face.runs.train_run import TrainRun, load_train_run, read_spec

logger = logging.getLogger(__name__)


def train_section(config_name: str, run_name: str) -> Section:
    """The project's config_train, or its defaults when there is none, or when a named run makes it unnecessary.

    It tells where training runs are and what `latest` means. Raises UserError when `latest` needs a config that is wrong.
    """
    try:
        return load_config(config_name, (), optional=("train",))["train"]
    except UserError as error:
        if run_name == LATEST:
            raise
        for line in error.lines:
            logger.warning("%s", line)
        logger.warning("config_train is not used: looking for %s in the default TRAIN_OUTPUT_ROOT", run_name)
        return section_from_values("train", {})


def find_training_run(config_name: str, run_name: str, train: Section) -> TrainRun:
    """Open the training run of a full name, or the project's newest one for `latest`.

    `latest` looks for runs of the project's RUN_NAME, kind of network and actors, as far as its files say them. The run
    comes with the faces and blendshapes that config_dataset names now. Raises UserError when they are of other meshes.
    """
    run = load_train_run(find_training_folder(config_name, run_name, train))
    logger.info("training run %s: %s network of %s", run.name, run.spec.network_type, ", ".join(run.spec.actors))
    return with_late_files(config_name, run)


def find_training_folder(config_name: str, run_name: str, train: Section) -> Path:
    """The folder of the training run that `find_training_run` opens."""
    has_file = train.file is not None
    return resolve_run(
        local_path(train.TRAIN_OUTPUT_ROOT),
        run_name,
        what="training",
        run_name=train.RUN_NAME if has_file else None,
        match=_same_project(config_name, train) if has_file and run_name == LATEST else None,
        hint=f"; make one with: python run_train.py {config_name} (--resume continues an unfinished one)",
    )


def _same_project(config_name: str, train: Section) -> Callable[[Path], bool]:
    actors = set(train.PREPROC_RUN_NAME_FULL)
    try:
        actors = set(load_config(config_name, (), optional=("dataset",))["dataset"].ACTOR_NAMES) or actors
    except UserError as error:
        logger.warning("config_dataset is not used: %s", error.lines[0])

    def match(folder: Path) -> bool:
        try:
            spec = read_spec(folder)
        except (UserError, ValueError):
            return (folder / MANIFEST_FILE).is_file()  # damaged: to be named, not passed over
        return spec.network_type == train.NETWORK_TYPE and (not actors or set(spec.actors) == actors)

    return match


def post_configs(section: Section, run: TrainRun) -> dict[str, dict[str, Any]]:
    """Every actor's CONFIG: of the project's config_inference, else of the one the run was made with, else the defaults."""
    saved = run.config("inference") if section.file is None else None
    if saved is not None:
        logger.info("CONFIG: from the training run, since the project has no config_inference.py")
    config = saved["CONFIG"] if saved is not None else section.CONFIG
    return {actor: actor_config(config, actor, run.spec.actors) for actor in run.spec.actors}
