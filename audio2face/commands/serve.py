"""`runners.serve`: the model that is served."""

from __future__ import annotations

from pathlib import Path

from audio2face.commands.find_run import find_training_run, train_section
from audio2face.inference import Model, load_model
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError


def open_model(what: str, run_name: str | None, threads: int = 0, quantize: str | None = None) -> Model:
    """A deployed model by its folder, or by its project and run. Raises UserError when it is not there or not sound."""
    if run_name is None:
        folder = local_path(what)
        if not (Path(what).is_dir() or folder.is_dir()):
            raise UserError(
                f"{what}: no such folder; pass a deployed model's folder, or a project and a RUN (`latest`)"
            )
        return load_model(Path(what) if Path(what).is_dir() else folder, threads, quantize)
    train = train_section(what, run_name)
    run = find_training_run(what, run_name, train)
    folder = local_path(train.FINAL_DEPLOY_ROOT) / run.name
    if not folder.is_dir():
        raise UserError(
            f"{external_path(folder)} does not exist; deploy the run: python run_deploy.py {what} {run.name}"
        )
    return load_model(folder, threads, quantize)
