"""Trained networks as ONNX files with the tensors that the runtime expects."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audio2face.deploy.onnx import OPSET, TOLERANCE, Feeds, compare_onnx, export_onnx
from audio2face.deploy.signature import CURVES_NETWORK, Signature, trt_info
from audio2face.face.channels_file import write_channels
from audio2face.formats.json_file import write_json
from audio2face.models.regression.graph import actor_signature, regression_graph
from audio2face.models.regression.load import load_network
from audio2face.models.regression.package import regression_network_info
from audio2face.runs.emotion_db import EmotionDB, write_emotion_db
from audio2face.runs.train_run import EMOTION_DB_FILE, EXPORTS, TrainRun

logger = logging.getLogger(__name__)

CHECK_FILE = "export_check.json"
CHECK_BATCHES = (1, 3)


def export_regression(
    network: nn.Module,
    run: TrainRun,
    databases: dict[str, EmotionDB],
    speech: np.ndarray | None = None,
    opset: int = OPSET,
    exporter: str = "torchscript",
    into: Path | None = None,
) -> dict[str, Path]:
    """Write the deploy folder(s) of a regression run: one exported network per actor, compared with PyTorch.

    `databases` holds each actor's implicit emotions; `speech` (n, L) are windows of real training sound,
    peak-normalised. `opset` and `exporter` as ONNX_OPSET and ONNX_EXPORTER; `into` another folder than the run's own.
    Returns {actor: folder}. Raises RuntimeError when an exported network does not equal the trained one.
    """
    folders = {}
    for name in run.spec.actors:
        actor, database = run.actor(name), databases[name]
        folder = (into or run.path / EXPORTS) / (name if len(run.spec.actors) > 1 else "")
        graph = regression_graph(network, run.spec, actor, database.length, curves=False)
        signature = actor_signature(run.spec, actor, database.length)
        write_emotion_db(folder / EMOTION_DB_FILE, database)
        write_json(folder / "network_info.json", regression_network_info(run.spec, actor, database.length))
        write_json(folder / "trt_info.json", trt_info(signature))
        export_onnx(graph, signature, folder / "network.onnx", opset, exporter)
        cases = compare_onnx(folder / "network.onnx", graph, check_inputs(signature, database, speech))
        largest = max(case["ratio"] for case in cases)
        write_json(
            folder / CHECK_FILE,
            {"exporter": exporter, "opset": opset, "tolerance": TOLERANCE, "largest_ratio": largest, "cases": cases},
        )
        logger.info("%s: the exported network equals PyTorch to %.1e (%d cases)", name, largest, len(cases))
        if run.spec.groups:
            path, signature = folder / CURVES_NETWORK, actor_signature(run.spec, actor, database.length, curves=True)
            graph = regression_graph(network, run.spec, actor, database.length)
            export_onnx(graph, signature, path, opset, exporter)
            compare_onnx(path, graph, check_inputs(signature, database, speech), {"curves": 1.0})
            write_channels(folder, run.spec.output_codec(actor).curves)
        folders[name] = folder
    return folders


def export_run(run: TrainRun, opset: int, exporter: str, into: Path) -> dict[str, Path]:
    """Export the saved weights of a run again, into a new folder."""
    network = load_network(run, torch.device("cpu"))
    databases = {actor: run.emotion_db(actor) for actor in run.spec.actors}
    return export_regression(network, run, databases, None, opset, exporter, into)


def check_inputs(signature: Signature, database: EmotionDB, speech: np.ndarray | None) -> dict[str, Feeds]:
    """Inputs on which an exported regression network is judged: noise, silence and real sound, batch 1 and 3.

    `speech` (n, L) or None. Implicit emotions of the speech cases are rows of `database`.
    """
    rng = np.random.default_rng(0)
    cases = {}
    for batch in CHECK_BATCHES:
        cases[f"random, batch {batch}"] = signature.dummy(batch, rng)
        silent = signature.dummy(batch, rng)
        silent["input"][:] = 0
        cases[f"silence, batch {batch}"] = silent
        if speech is None or not len(speech):
            continue
        feeds = signature.dummy(batch, rng)
        feeds["input"][:, 0] = speech[rng.choice(len(speech), batch)]
        rows = database.vectors[rng.choice(len(database.vectors), batch)]
        feeds["emotion"] = np.concatenate([rows[:, None], np.abs(feeds["emotion"][..., database.length :])], axis=2)
        cases[f"speech, batch {batch}"] = feeds
    return cases
