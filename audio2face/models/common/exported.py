"""The exported network of a training run, as a step of its rollout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio2face.deploy.signature import CURVES_NETWORK
from audio2face.models.common.engine import Step, session_step
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.manifest import check_file
from audio2face.runs.train_run import TrainRun, undamaged


def exported_network(run: TrainRun, actor: str, open_network: Callable[[Path], Any], without: str) -> Step:
    """A step that runs the network that animates `actor`, in the session that `open_network` gives for its path: network.onnx,
    or where it gives curves network_curves.onnx.

    `without` is the INFERENCE_MODE that needs no such file. Raises UserError when the file or onnxruntime is missing.
    """
    path = run.export_folder(actor) / (CURVES_NETWORK if run.spec.groups else "network.onnx")
    if not path.is_file():
        raise UserError(f"training run {run.name}: {external_path(path)} is missing; use INFERENCE_MODE {without!r}")
    with undamaged(run.name):
        check_file(path)
    try:
        return session_step(open_network(path))
    except ImportError as error:
        raise UserError("INFERENCE_MODE with _onnx needs onnxruntime: pip install onnxruntime") from error
