"""Deployed models of a made-up actor, with encoders of base size and random weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from audio2face.deploy.package import write_model
from audio2face.face.codec import FaceCodec
from audio2face.face.topology import Topology
from audio2face.formats.json_file import write_json
from audio2face.models import family
from audio2face.models.diffusion.export import export_diffusion
from audio2face.models.diffusion.model import streaming_graph
from audio2face.models.regression.export import export_regression
from audio2face.models.regression.graph import regression_graph
from audio2face.postprocess.limits import CONFIG_LIMITS
from audio2face.runs.emotion_db import EmotionDB
from audio2face.runs.train_run import NetworkSpec, TrainRun, write_train_run
from tools.bench import diffusion, regression
from tools.bench.made_up import SAMPLE_RATE, MadeUp

ACTOR, NAMES = "made_up", ["neutral", "joy", "anger", "sadness", "fear"]
POSES = 52
SCALES = {"skin": diffusion.SKIN_SCALE, "tongue": 3.0, "jaw": 5.0, "eye": 5.0}
STREAMING = {
    "audio_pad_left": 16000,
    "audio_pad_right": 16000,
    "window_size": diffusion.STREAMING.window,
    "left_truncate": diffusion.STREAMING.left,
    "right_truncate": diffusion.STREAMING.right,
    "block_frame_size": diffusion.STREAMING.centre,
}


@dataclass(frozen=True)
class Deployed:
    """A model's folder, and the same network in PyTorch behind the same tensors."""

    folder: Path
    graph: nn.Module


@dataclass
class Preproc:
    """What a training run keeps of preprocessing."""

    network_data: dict[str, np.ndarray]
    data_info: dict[str, Any]
    mean_geometry: np.ndarray
    blendshapes: dict[str, dict[str, Path]] = field(default_factory=dict)
    topology: Topology = field(default_factory=Topology)
    curves: FaceCodec = FaceCodec(())


def make_preproc(actor: MadeUp, folder: Path) -> Preproc:
    """Neutral, components, zero deltas, and blendshapes to solve for."""
    size, rng = actor.size, np.random.default_rng(7)
    counts = {"skin": size.skin_vertices, "tongue": size.tongue_vertices}
    rest = {"skin": actor.mean, "tongue": rng.uniform(-2, 2, (size.tongue_vertices, 3)).astype(np.float32)}
    zeros = np.zeros((size.skin_vertices, 3), np.float32)
    arrays = {"lip_open_pose_delta": zeros, "eye_close_pose_delta": zeros, "blink_keys": np.zeros(10, np.float32)}
    arrays |= {
        "neutral_jaw": rng.normal(size=(5, 3)).astype(np.float32),
        "saccade_rot_matrix": np.zeros((500, 2), np.float32),
    }
    info: dict[str, Any] = {"num_keypoints_jaw": 5, "num_angles_eye": 2}
    blendshapes = {}
    for mesh, basis in (("skin", actor.skin), ("tongue", actor.tongue)):
        arrays[f"shapes_matrix_{mesh}"] = basis.reshape(len(basis), -1, 3)
        arrays[f"shapes_mean_{mesh}"] = arrays[f"neutral_{mesh}"] = rest[mesh]
        info |= {f"num_shapes_{mesh}": len(basis), f"num_verts_{mesh}": counts[mesh]}
        blendshapes[mesh] = write_blendshapes(folder, mesh, rest[mesh], rng)
    info |= {f"translate_{name}": [0.0, 0.0, 0.0] for name in SCALES} | {f"scale_{k}": v for k, v in SCALES.items()}
    still = np.zeros(19, np.float32)
    mean = np.concatenate([rest["skin"].ravel() / SCALES["skin"], rest["tongue"].ravel() / SCALES["tongue"], still])
    return Preproc(arrays, info, mean.astype(np.float32), blendshapes)


def write_blendshapes(folder: Path, mesh: str, neutral: np.ndarray, rng: np.random.Generator) -> dict[str, Path]:
    """POSES poses of a few moved vertices (offsets from neutral), and the settings of the solver."""
    names = [f"pose{i}" for i in range(POSES)]
    arrays = {name: np.zeros_like(neutral) for name in names}
    for pose in arrays.values():
        pose[rng.permutation(len(neutral))[: max(4, len(neutral) // 20)]] += rng.normal(size=3) * 0.5
    files = {"data": folder / f"bs_{mesh}.npz", "config": folder / f"bs_{mesh}_config.json"}
    np.savez(files["data"], neutral=neutral, poseNames=np.array(["neutral", *names], "S"), **arrays)
    off, on = [-1] * POSES, [1] * POSES
    params = {"strengthL1regularization": 0.5, "strengthL2regularization": 0.5, "strengthTemporalSmoothing": 0.3}
    params |= {"strengthSymmetry": 100.0, "templateBBSize": 50.0, "numPoses": POSES, "bsSolveActivePoses": on}
    params |= {"bsSolveCancelPoses": off, "bsSolveSymmetryPoses": off}
    params |= {"bsWeightMultipliers": [1.0] * POSES, "bsWeightOffsets": [0.0] * POSES}
    write_json(files["config"], {"blendshape_params": params})
    return files


def make_spec(actor: MadeUp, kind: str, **changes: Any) -> NetworkSpec:
    """The description of a network of the actor."""
    common = {
        "network_version": "0.1",
        "actors": [ACTOR],
        "emotion_names": NAMES[1:],
        "zero_emotion": NAMES[0],
        "default_emotion": NAMES[0],
        "channels": list(actor.layout.sizes),
        "channel_sizes": {ACTOR: dict(actor.layout.sizes)},
        "audio_method": "w2v",
    }
    return NetworkSpec(network_type=kind, **{**common, **changes})


def deploy(run: TrainRun) -> Path:
    """The deployed folder of a run."""
    config = {name: limit.default for name, limit in CONFIG_LIMITS.items()}
    if run.spec.network_type == "regression":
        config |= {"source_shot": "s0", "source_frame": 0}
    folder = run.path / "model"
    write_model(folder, run, {ACTOR: config}, family(run.spec.network_type).package)
    return folder


def make_regression(actor: MadeUp, folder: Path, encoder: str = "w2v") -> Deployed:
    """A regression model on wav2vec 2.0 and autocorrelation, or on another encoder of the bench."""
    audio = {"buffer_len": regression.BUFFER, "buffer_ofs": regression.OFFSET, "samplerate": SAMPLE_RATE}
    hyper = {"implicit_emotion_len": regression.IMPLICIT, **regression.ENCODERS[encoder]}
    spec = make_spec(
        actor,
        "regression",
        network_name="conv_w2v_autocorr",
        hyper_params=hyper,
        fps=30.0,
        audio_params=audio,
        rescale=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    run = write_train_run(folder, spec, {ACTOR: make_preproc(actor, folder)})
    network = regression.make_network(actor, encoder).eval()
    database = EmotionDB(np.zeros((2, regression.IMPLICIT), np.float32), {"s0": (0, 2)})
    export_regression(network, run, {ACTOR: database})
    graph = regression_graph(network, spec, run.actor(ACTOR), regression.IMPLICIT)
    return Deployed(deploy(run), graph.eval())


def make_diffusion(actor: MadeUp, folder: Path, steps: int, encoder: str = "hubert") -> Deployed:
    """A diffusion model on coefficients that takes `steps` steps."""
    window = diffusion.STREAMING.window
    audio = {"buffer_len": window, "padding_left": window, "padding_right": window, "samplerate": SAMPLE_RATE}
    spec = make_spec(
        actor,
        "diffusion",
        network_name="diffusion_rnn_pca",
        hyper_params={"audio_encoder": encoder, "freeze_audio_encoder": True},
        fps=diffusion.FPS,
        audio_params=audio,
        rescale=True,
        extra={
            "space": "coefficients",
            "diffusion_steps": diffusion.STEPS,
            "noise_schedule": "cosine",
            "respacing": str(steps),
            "sampler": "ddpm",
            "streaming": STREAMING,
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    run = write_train_run(folder, spec, {ACTOR: make_preproc(actor, folder)})
    network = diffusion.make_network(actor.layout, torch.zeros(1, actor.layout.size), encoder).eval()
    for head in network.heads.values():  # untrained ones give zeros
        nn.init.normal_(head[-1].weight, std=0.01)  # type: ignore[index]
    export_diffusion(network, run)
    return Deployed(deploy(run), streaming_graph(network, run).eval())
