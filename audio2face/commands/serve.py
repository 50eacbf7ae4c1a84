"""`runners.serve`: the model that is served."""

from __future__ import annotations

from pathlib import Path

from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.commands.late_files import with_late_files
from audio2face.config import load_config
from audio2face.inference import Model, load_model
from audio2face.inference.model import load_run_model
from audio2face.paths import local_path
from audio2face.problems import UserError


def open_model(what: str, run_name: str | None, threads: int = 0, quantize: str | None = None) -> Model:
    """A deployed model by its folder; or a project's run, deployed or not. Raises UserError when it is not there or not sound."""
    if run_name is None:
        folder = local_path(what)
        if not (Path(what).is_dir() or folder.is_dir()):
            raise UserError(
                f"{what}: no such folder; pass a deployed model's folder, or a project and a RUN (`latest`)"
            )
        return load_model(Path(what) if Path(what).is_dir() else folder, threads, quantize)
    train = train_section(what, run_name)
    run = with_late_files(what, find_training_run(what, run_name, train))
    folder = local_path(train.FINAL_DEPLOY_ROOT) / run.name
    if folder.is_dir():
        return load_model(folder, threads, quantize)
    section = load_config(what, (), optional=("inference",), network_type=run.spec.network_type)["inference"]
    return load_run_model(run, post_configs(section, run), threads, quantize)
