"""TensorRT through onnxruntime: the engine is built from network.onnx when it is first run, and kept beside the run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from audio2face.deploy.onnx import on_device, open_session
from audio2face.formats.json_file import read_json
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun

PROVIDER = "TensorrtExecutionProvider"
ENGINE_FOLDER = "trt_engines"  # in the training run
INSTALL = "install onnxruntime-gpu in place of onnxruntime, and tensorrt, on a machine with an NVIDIA GPU"


def require_tensorrt(mode: str) -> None:
    """Raise UserError with the packages to install when onnxruntime has no TensorRT for INFERENCE_MODE `mode`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"INFERENCE_MODE {mode!r} needs onnxruntime with TensorRT: {INSTALL}") from error
    found = onnxruntime.get_available_providers()
    if PROVIDER not in found:
        raise UserError(
            f"INFERENCE_MODE {mode!r} needs onnxruntime with TensorRT; this one has {', '.join(found)}: {INSTALL}. "
            f"{mode.removesuffix('_trt') + '_onnx'!r} computes the same without it"
        )


def open_tensorrt(path: Path, run: TrainRun, device: torch.device) -> Any:
    """A session that runs a run's network.onnx in TensorRT on `device`, one track at a time.

    The first run builds the engine, which takes minutes; it is kept in the training run for the next time, for these
    very weights. Raises UserError when onnxruntime cannot start TensorRT and would silently compute elsewhere.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    engines = run.path / ENGINE_FOLDER / digest
    engines.mkdir(parents=True, exist_ok=True)
    session = open_session(path, providers=provider_options(path, engines, device))
    if PROVIDER not in session.get_providers():
        raise UserError(
            f"onnxruntime could not start TensorRT for {external_path(path)}: {INSTALL}, in the versions that "
            "onnxruntime's table of TensorRT requirements lists"
        )
    return session


def provider_options(path: Path, engines: Path, device: torch.device) -> list[Any]:
    """onnxruntime providers of a network.onnx: TensorRT with its trt_info.json's shapes at batch 1, then the rest."""
    import onnxruntime

    arguments = [a for group in read_json(path.with_name("trt_info.json"))["trt_build_param"].values() for a in group]
    shapes = next(a.removeprefix("--minShapes=") for a in arguments if a.startswith("--minShapes="))
    options: dict[str, Any] = {f"trt_profile_{which}_shapes": shapes for which in ("min", "opt", "max")}
    options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines), "device_id": device.index or 0}
    return [(PROVIDER, options), *on_device(onnxruntime.get_available_providers(), device)]
