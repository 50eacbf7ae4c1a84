"""A training run of a tiny network on a 12-vertex face, for the tests of export, deployment and inference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.face.codec import FaceCodec
from audio2face.face.topology import Topology
from audio2face.formats.json_file import write_json
from audio2face.models.common.conditions import Conditions, ConditionSpec
from audio2face.runs.emotion_db import EmotionDB
from audio2face.runs.train_run import NetworkSpec, TrainRun, write_train_run

WINDOW = 640
EMOTIONS = ["joy", "anger"]


class TinyNetwork(nn.Module):
    """Has the interface of a regression network: features, decode, forward."""

    def __init__(
        self,
        output_sizes,
        num_emotions,
        num_actors=1,
        phoneme_sizes=None,
        implicit_emotion_len=4,
        buffer_len=WINDOW,
        pretrained=True,
    ):
        super().__init__()
        sizes = {
            "implicit": implicit_emotion_len,
            "emotion": num_emotions,
            "actor": num_actors if num_actors > 1 else 0,
        }
        self.conditions = [ConditionSpec(name, "static", size) for name, size in sizes.items() if size]
        self.audio = nn.Linear(buffer_len // 64, 8)
        self.mix = nn.Sequential(
            nn.Linear(8 + sum(sizes.values()), 16),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(16, sum(output_sizes.values())),
        )

    def features(self, audio: Tensor) -> dict[str, Tensor]:
        return {"energy": audio.unflatten(1, (-1, 64)).pow(2).mean(dim=2)}

    def decode(self, features, conditions: Conditions):
        given = [conditions[spec.name] for spec in self.conditions]
        return self.mix(torch.cat([self.audio(features["energy"]), *given], dim=1)), {}

    def forward(self, audio, conditions: Conditions):
        return self.decode(self.features(audio), conditions)


@dataclass
class FakePreproc:
    """What a preproc run hands to a training run."""

    network_data: dict
    data_info: dict
    mean_geometry: np.ndarray
    blendshapes: dict
    topology: Topology = field(default_factory=Topology)
    curves: FaceCodec = FaceCodec(())


def make_preproc(folder: Path, actor: str, num_skin: int = 3, blendshapes: bool = True, seed: int = 0) -> FakePreproc:
    rng = np.random.default_rng(seed)
    v, vt, kt = 12, 5, 2
    arrays = {
        "shapes_matrix_skin": rng.normal(size=(num_skin, v, 3)),
        "shapes_mean_skin": rng.normal(size=(v, 3)) * 3,
        "neutral_skin": rng.normal(size=(v, 3)) * 3,
        "lip_open_pose_delta": rng.normal(size=(v, 3)),
        "eye_close_pose_delta": rng.normal(size=(v, 3)),
        "shapes_matrix_tongue": np.asfortranarray(rng.normal(size=(kt, vt, 3))),
        "shapes_mean_tongue": rng.normal(size=(vt, 3)),
        "neutral_tongue": rng.normal(size=(vt, 3)),
        "neutral_jaw": rng.normal(size=(5, 3)),
        "blink_keys": np.zeros(10),
        "saccade_rot_matrix": rng.normal(size=(50, 2)),
    }
    info = {"num_shapes_skin": num_skin, "num_verts_skin": v, "num_shapes_tongue": kt, "num_verts_tongue": vt}
    info |= {"num_keypoints_jaw": 5, "num_angles_eye": 2}
    for part, scale in (("skin", 10.0), ("tongue", 6.0), ("jaw", 4.0), ("eye", 5.0)):
        info |= {f"translate_{part}": [0.0, 0.0, 0.0], f"scale_{part}": scale}
    files = {}
    for part, count in (("skin", v), ("tongue", vt)) if blendshapes else ():
        names = ["neutral", "jawOpen", "smile"]
        data = {
            "neutral": np.float32(arrays[f"neutral_{part}"]),
            "poseNames": np.array(names),
        }  # wide strings: to be mended
        data |= {name: rng.normal(size=(count, 3)).astype(np.float32) for name in names[1:]}
        files[part] = {"config": folder / f"src_{actor}_{part}.json", "data": folder / f"src_{actor}_{part}.npz"}
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(files[part]["data"], **data)
        params = {"strengthL1regularization": 0.5, "strengthL2regularization": 0.5, "strengthTemporalSmoothing": 0.3}
        params |= {"strengthSymmetry": 100.0, "templateBBSize": 50.0, "numPoses": 2, "bsSolveActivePoses": [1, 1]}
        params |= {"bsSolveCancelPoses": [1, 1], "bsSolveSymmetryPoses": [1, 1]}
        params |= {"bsWeightMultipliers": [1.0, 1.0], "bsWeightOffsets": [0.0, 0.0]}
        write_json(files[part]["config"], {"blendshape_params": params})
    return FakePreproc(arrays, info, np.zeros(3 * (v + vt) + 19, np.float32), files)


def make_spec(actors: tuple[str, ...] = ("ada",), **changes) -> NetworkSpec:
    sizes = {actor: {"skin_coeffs": 3 + i, "tongue_coeffs": 2, "jaw": 15, "eye": 4} for i, actor in enumerate(actors)}
    spec = NetworkSpec(
        network_type="regression",
        network_name="tiny",
        network_version="0.1",
        hyper_params={"implicit_emotion_len": 4},
        actors=list(actors),
        emotion_names=list(EMOTIONS),
        zero_emotion="neutral",
        default_emotion="neutral",
        channels=["skin_coeffs", "tongue_coeffs", "jaw", "eye"],
        channel_sizes=sizes,
        fps=30.0,
        audio_params={"buffer_len": WINDOW, "buffer_ofs": WINDOW // 2, "samplerate": 16000},
        audio_method="w2v",
        rescale=False,
    )
    return replace(spec, **changes)


def make_network(spec: NetworkSpec, seed: int = 0) -> TinyNetwork:
    torch.manual_seed(seed)
    sizes, length = (len(spec.emotion_names), len(spec.actors)), spec.audio_params["buffer_len"]
    return TinyNetwork(spec.max_sizes, *sizes, buffer_len=length, **spec.hyper_params)


def make_databases(spec: NetworkSpec, seed: int = 0) -> dict[str, EmotionDB]:
    rng = np.random.default_rng(seed)
    rows = {a: rng.normal(size=(30, spec.hyper_params["implicit_emotion_len"])).astype(np.float32) for a in spec.actors}
    return {a: EmotionDB(rows[a], {"s1_neutral": (0, 20), "s2_joy": (20, 10)}) for a in spec.actors}


def make_train_run(
    root: Path, spec: NetworkSpec | None = None, *, blendshapes: bool = True, name: str = "251121_120000_fake"
) -> TrainRun:
    """A complete run folder: description, actors, weights and exported networks."""
    from audio2face.models.common.weights import save_weights
    from audio2face.models.regression.export import export_regression

    spec = spec or make_spec()
    folder = root / name
    folder.mkdir(parents=True)
    preproc = {a: make_preproc(root / "src", a, 3 + i, blendshapes, seed=i) for i, a in enumerate(spec.actors)}
    run = write_train_run(folder, spec, preproc)
    network = make_network(spec)
    save_weights(run.weights, network)
    speech = np.random.default_rng(1).normal(size=(9, WINDOW)).astype(np.float32) * 0.3
    export_regression(network, run, make_databases(spec), speech)
    return run
