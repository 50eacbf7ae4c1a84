"""Exports a diffusion run: the streaming graph as ONNX, judged against PyTorch, and the JSON files beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.deploy.onnx import OPSET, TOLERANCE, Feeds, compare_onnx, export_onnx
from audio2face.deploy.signature import CURVES_NETWORK, Signature, trt_info
from audio2face.face.channels_file import write_channels
from audio2face.formats.json_file import write_json
from audio2face.models.diffusion.load import load_network
from audio2face.models.diffusion.model import StreamingGraph, graph_signature, streaming_graph
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.runs.train_run import EXPORTS, NetworkSpec, TrainRun

logger = logging.getLogger(__name__)

BUILDER_TIME_S = 150
CHECK_BATCHES = (1, 3)
MOTION_SHARE = 0.02  # of the face's size: so much, at least, moves when it talks
CHECK_FILE = "export_check.json"


def diffusion_network_info(spec: NetworkSpec, graph: StreamingGraph) -> dict[str, Any]:
    """network_info.json of an exported diffusion network; the number of steps is the graph's own."""
    s, sizes = graph.streaming, graph.codec.poses.sizes
    actor = spec.actors[0] if len(spec.actors) == 1 else "multi"
    return {
        "id": {"type": "diffusion", "actor": actor, "version": spec.network_version, "output": "geometry"},
        "params": {
            "emotions": spec.emotion_inputs,
            "default_emotion": spec.emotion_vector(None).tolist(),
            "identities": list(spec.actors),
            "skin_size": sizes["skin_pose"],
            "tongue_size": sizes["tongue_pose"],
            "jaw_size": sizes["jaw"],
            "eyes_size": sizes["eye"],
            "num_diffusion_steps": graph.schedule.num_steps,
            "num_gru_layers": graph.network.num_gru_layers,
            "gru_latent_dim": graph.network.gru_feature_dim,
            "num_frames_left_truncate": s.left,
            "num_frames_right_truncate": s.right,
            "num_frames_center": s.centre,
        },
        "audio_params": dict(spec.audio_params),
    }


def export_diffusion(
    network: DiffusionRNN, run: TrainRun, opset: int = OPSET, exporter: str = "torchscript", into: Path | None = None
) -> dict[str, Path]:
    """Write `deploy/` of a diffusion run, or `into` another folder, and compare the exported graph with PyTorch at batch 1 and 3.

    Returns {actor: folder}. Raises RuntimeError when they differ, ValueError when the runtime could not load the graph.
    """
    folder = into or run.path / EXPORTS
    device = next(network.parameters()).device
    graph = streaming_graph(network.cpu().eval(), run, curves=False)
    signature = graph_signature(graph, len(run.spec.emotion_inputs))
    noise = next(t for t in signature.inputs if t.name == "noise")
    if int(np.prod(noise.shape(1))) % 2:
        raise ValueError(f"noise {noise.axes} has an odd number of values, which the runtime's generator cannot make")
    write_json(folder / "network_info.json", diffusion_network_info(run.spec, graph))
    write_json(folder / "trt_info.json", trt_info(signature, BUILDER_TIME_S))
    export_onnx(graph, signature, folder / "network.onnx", opset, exporter)
    cases = compare_onnx(folder / "network.onnx", graph, _check_inputs(signature), data_scales(run))
    largest = max(case["ratio"] for case in cases)
    checked = {"exporter": exporter, "opset": opset, "tolerance": TOLERANCE, "largest_ratio": largest, "cases": cases}
    write_json(folder / CHECK_FILE, checked)
    logger.info("the exported network equals PyTorch to %.1e (%d cases)", largest, len(cases))
    if graph.codec.curves.size:
        _export_curves(network, run, folder, opset, exporter)
    network.to(device)
    return {actor: folder for actor in run.spec.actors}


def _export_curves(network: DiffusionRNN, run: TrainRun, folder: Path, opset: int, exporter: str) -> None:
    """Write the graph that gives curves beside the face, and what they are, for each actor."""
    graph = streaming_graph(network, run)
    signature = graph_signature(graph, len(run.spec.emotion_inputs))
    export_onnx(graph, signature, folder / CURVES_NETWORK, opset, exporter)
    compare_onnx(folder / CURVES_NETWORK, graph, _check_inputs(signature), {**data_scales(run), "curves": 1.0})
    for name in run.spec.actors:
        write_channels(folder, run.spec.output_codec(run.actor(name)).curves, f"channels_{name}.json")


def export_run(run: TrainRun, opset: int, exporter: str, into: Path) -> dict[str, Path]:
    """Export the saved weights of a run again, into a new folder."""
    return export_diffusion(load_network(run), run, opset, exporter, into)


def data_scales(run: TrainRun) -> dict[str, float]:
    """What counts as large in the outputs: a face in motion, in data units, and recurrent states, which are below 1."""
    sizes = [np.ptp(run.actor(name).network_data["neutral_skin"], axis=0).max() for name in run.spec.actors]
    return {"prediction": MOTION_SHARE * float(min(sizes)), "output_latents": 1.0}


def _check_inputs(signature: Signature) -> dict[str, Feeds]:
    """Inputs on which the graph is judged: normal noise, a one-hot identity, emotions in 0…1, a fresh and a used state."""
    rng = np.random.default_rng(0)
    cases = {}
    for batch in CHECK_BATCHES:
        feeds = signature.dummy(batch, rng)
        identities = feeds["identity"].shape[1]
        feeds["identity"] = np.eye(identities, dtype=np.float32)[rng.integers(identities, size=batch)]
        feeds["emotion"] = np.abs(feeds["emotion"])
        feeds["noise"] = rng.standard_normal(feeds["noise"].shape, np.float32)
        feeds["window"] *= 0.3
        cases[f"used state, batch {batch}"] = feeds
        cases[f"fresh state, batch {batch}"] = {**feeds, "input_latents": np.zeros_like(feeds["input_latents"])}
    return cases
