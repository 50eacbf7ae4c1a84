"""`run_deploy.py`: pack a training run into the folder that the runtime loads. Needs only the run, and no PyTorch."""

from __future__ import annotations

import logging
from pathlib import Path

from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.config import load_config
from audio2face.deploy.check.model import inspect_deployed, model_folders
from audio2face.deploy.package import write_model
from audio2face.inference.model import load_model
from audio2face.models import run_family
from audio2face.paths import external_path, local_path
from audio2face.postprocess.limits import config_problems
from audio2face.problems import UserError, raise_problems
from audio2face.runs.disk import disk_faults
from audio2face.runs.run_dir import check_name

logger = logging.getLogger(__name__)


def run(config_name: str, run_name: str) -> str:
    """Write the deployed model of training run `run_name` (or `latest`) to FINAL_DEPLOY_ROOT; returns the run's full name.

    An earlier deployment of the run is replaced once the new one has passed the checks and opened. Raises UserError listing what is
    wrong with the config, the run or the finished model.
    """
    train = train_section(config_name, run_name)
    training_run = find_training_run(config_name, run_name, train)
    network_type = training_run.spec.network_type
    package = run_family(training_run).package
    if package is None:
        name = training_run.spec.network_name
        raise UserError(
            f"training run {training_run.name}: a {name} cannot be deployed; the run animates with run_inference.py"
        )
    section = load_config(config_name, (), optional=("inference",), network_type=network_type)["inference"]
    configs = post_configs(section, training_run)
    raise_problems(
        [f"CONFIG of {actor}: {line}" for actor, values in configs.items() for line in config_problems(values)]
    )
    folder = local_path(train.FINAL_DEPLOY_ROOT) / check_name(training_run.name, "training run name")
    with disk_faults(folder.parent, "deployment"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_model(folder, training_run, configs, package, check=_problems)
    logger.info("deployed model: %s", external_path(folder))
    if not next(folder.rglob("network.trt"), None):
        logger.info("the TensorRT engine is built where it will run: see README.md there")
    return training_run.name


def _problems(folder: Path) -> list[str]:
    """What the runtime would refuse or misread in a deployed model, or in those of its actors, one line each.

    The last question is whether it opens. `write_model` has warned of a model that gives geometry alone.
    """
    problems = []
    for model in model_folders(folder):
        report = inspect_deployed(model)
        for note in report.infos:
            if note.rule == "windows":
                logger.warning("%s: %s", note.where, note.what)
        who = "" if model == folder else f"{model.name}: "
        problems += [f"{who}{p.where}: {p.what} (rule {p.rule})" for p in report.errors]
    if not problems:
        try:
            load_model(folder)
        except UserError as error:
            problems += error.lines
    return problems
