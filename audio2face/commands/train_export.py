"""`run_train.py --export RUN`: export the saved weights of a training run again."""

from __future__ import annotations

import shutil
from pathlib import Path

from audio2face.config import Section
from audio2face.models import run_family
from audio2face.paths import external_path, partial_folder, repair_folder, replace_folder
from audio2face.problems import UserError
from audio2face.runs.disk import disk_faults
from audio2face.runs.manifest import write_manifest
from audio2face.runs.run_dir import LATEST, finish_run, is_complete, is_running, listing, resolve_run
from audio2face.runs.train_run import EXPORTS, load_train_run
from audio2face.training.resume import mark_stopped


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
            f"training run {folder.name} has no weights yet, its training did not end; continue it: {again}"
        )
    export = run_family(training_run).export
    if export is None:
        raise UserError(f"training run {folder.name}: a {training_run.spec.network_name} cannot be exported")
    with disk_faults(folder, "the export"):
        repair_folder(folder / EXPORTS)
        new = partial_folder(folder / EXPORTS)
        try:
            export(training_run, train.ONNX_OPSET, train.ONNX_EXPORTER, new)
            write_manifest(new)
            replace_folder(new, folder / EXPORTS)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        if not is_complete(folder):
            mark_stopped(folder, True)  # it may yet be continued
            finish_run(folder)
    return folder.name
