"""Small trainings of both methods in double precision, alone or as one of several processes (run as a script)."""

from __future__ import annotations

import copy
import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.audio.augment import shift_grid
from audio2face.audio.windows import Streaming
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.targets import ShotTargets
from audio2face.distributed import World, init
from audio2face.face.codec import Channel, FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.vertex_distances import VertexDistances
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import SegmentData, SegmentParams
from audio2face.models.diffusion.method import DiffusionLosses, DiffusionMethod, Smoothness
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.models.regression.data import WindowData, WindowParams
from audio2face.models.regression.method import LossSettings, Regression, RegressionMethod
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.training.loop import fit
from audio2face.training.metrics import Losses
from audio2face.training.nan_guard import TrainingDiverged
from audio2face.training.progress import Stop
from audio2face.training.settings import FitSettings
from audio2face.types import Clip, Pca, Shot

CPU = torch.device("cpu")
LAYOUT = ChannelLayout({"skin_coeffs": 3, "jaw": 2})
LENGTHS = (20, 31, 26, 44, 23)
REGRESSION = FitSettings(epochs=2, learning_rate=1e-3, weight_decay=0.1, ema_decay=0.9, log_period=1)
DIFFUSION = FitSettings(
    epochs=2, learning_rate=1e-3, accumulate=2, clip_norm=0.5, ema_decay=0.9, log_period=1, checkpoint_epochs=1
)


class Tracks:
    def load(self, path: Path, standardize: bool = False) -> tuple[np.ndarray, float]:
        return np.random.default_rng(len(str(path))).normal(size=48000).astype(np.float32) * 0.1, 0.5


class Noise:
    local_range = (0.5, 1.0)

    def track(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=num_samples).astype(np.float32)


def clips(count: int) -> list[Clip]:
    shots = [Shot("ann", f"s{i}", 50, 30.0, "joy") for i in range(count)]
    found = [Clip(s, 2, 1 + n, Path("a" * (i + 1))) for i, (s, n) in enumerate(zip(shots, LENGTHS, strict=False))]
    return [*found[:-1], dataclasses.replace(found[-1], audio=None)]


def targets(clip: Clip) -> ShotTargets:
    values = np.random.default_rng(int(clip.shot.name[1:])).normal(size=(50, LAYOUT.size)).cumsum(axis=0) * 0.1
    known = np.ones(values.shape, bool)
    known[:, LAYOUT.slices["jaw"]] = clip.shot.name != "s1"
    return ShotTargets(values.astype(np.float32), 30.0, {"skin_coeffs": True, "jaw": clip.shot.name != "s1"}, known)


def in_double(record: Any) -> Any:
    """A dataclass or object with its tensors in double precision."""
    for name, value in list(vars(record).items()):
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            setattr(record, name, value.double())
        elif isinstance(value, Conditions):
            setattr(record, name, value.replaced(**{key: x.double() for key, x in value.tensors.items()}))
    return record


def lips() -> VertexDistances:
    return VertexDistances(torch.tensor([[[1.0, 0.5], [0.3, -1.0], [0.2, 0.1]]]), torch.tensor([[0.1, 0.4]]))


class Windows(WindowData):
    spoiled = False

    def windows(self, *arguments: Any) -> Any:
        return super().windows(*arguments).double()

    def batch(self, *arguments: Any) -> Any:
        batch = in_double(super().batch(*arguments))
        return dataclasses.replace(batch, target=batch.target * float("nan")) if self.spoiled else batch


def regression(world: World) -> RegressionMethod:
    """Batches of 8, 8 and 1 items: for the last one, one process has a stand-in."""
    torch.manual_seed(0)
    params = WindowParams(30.0, 16000, 1280, 640, 2, 5, shift_grid(1.0, 2))
    conditions = [ClipConditions(np.array([float(i)]), 0, i % 2, 50 * i) for i in range(4)]
    torch.set_default_dtype(torch.float32)
    data = Windows(
        clips(4),
        conditions,
        targets,
        LAYOUT,
        Tracks(),
        Noise(),
        params,
        num_actors=2,
        batch_size=8,
        seed=1,
        device=CPU,
        world=world,
    )  # type: ignore[arg-type]
    torch.set_default_dtype(torch.float64)
    data.items = data.items[:17]
    posteriors = np.random.default_rng(3).dirichlet(np.ones(4), size=200)
    data.set_phonemes("en", {0: posteriors, 2: posteriors}, steps=3)
    network = ConvW2vAutocorr(
        LAYOUT.sizes, 1, 1, 4, 2, phoneme_sizes={"en": 4}, buffer_len=1280, use_melspec_features=True,
        use_w2v_features=False, use_autocorr_features=False,
    ).double()  # fmt: skip
    model = Regression(network, 200, 4, 1.0, torch.Generator().manual_seed(0)).double()
    data.cache_features(network.features, 1e9)
    assert data.features is not None
    names = ("MSE", "MOTION", "EMO_REG", "VOL_STAB_REG", "LIP_DIST", "PHONEME", "PHONEME_MOTION")
    settings = LossSettings(dict.fromkeys(names, 1.0), vol_stab_exp=1.0, lip_dist_emotion=(1.0, 3.0))
    return RegressionMethod(
        model, data, LAYOUT, settings, lambda epoch: 1.0, lip_dist=lips()
    )  # fmt: skip


class Segments(SegmentData):
    def batch(self, *arguments: Any) -> Any:
        return in_double(super().batch(*arguments))


def diffusion(world: World) -> DiffusionMethod:
    """Batches of 3 and 2 segments of unequal lengths."""
    torch.manual_seed(0)
    conditions = [ClipConditions(np.eye(2)[i % 2], 0, i % 2, 0) for i in range(5)]
    params = SegmentParams(30.0, 16000, 15, 25, timeshift=1.0)
    data = Segments(
        clips(5), conditions, targets, LAYOUT, Tracks(), Noise(), params,  # type: ignore[arg-type]
        num_actors=1, batch_size=3, seed=1, device=CPU, world=world,
    )  # fmt: skip
    skin = Pca(np.eye(3, 30, dtype=np.float32).reshape(3, 10, 3), np.zeros((10, 3), np.float32))
    face = FaceCodec((Channel("skin_coeffs", "mesh", 3, 2.0, basis=skin), Channel("jaw", "points", 2)))
    codec = TorchCodec([face], [face.on_vertices(np.zeros(32, np.float32))], on_vertices=False).double()
    size = {"feature_dim": 16, "gru_feature_dim": 16, "emo_embedding_dim": 4, "actor_embedding_dim": 4}
    network = DiffusionRNN(LAYOUT, codec.network_mean, 30.0, 2, audio_encoder="melspec", **size).double()  # type: ignore[arg-type]
    for head in network.heads.values():
        torch.nn.init.normal_(head[-1].weight, std=0.1)
    settings = DiffusionLosses({"LIP_DIST": 1.0, "VELOCITY": 1.0, "EXP_SMOOTH": 1.0})
    return in_double(
        DiffusionMethod(
            network, data, codec, build_schedule("cosine", 1000), settings, lambda epoch: 1.0,
            lip_dist=lips(), smooth=Smoothness(torch.eye(3)[None] * 0.1),
            streaming=Streaming(6, 15, 9, 16000, 16000),
        )
    )  # fmt: skip


def train(method: Any, settings: FitSettings, world: World, resume: Any = None) -> dict[str, Any]:
    """Losses of all steps, the weights in the end, and the checkpoints."""
    curve: list[float] = []
    states: list[Any] = []
    log = lambda step, values: curve.append(values["total"])  # noqa: E731
    save = (lambda state: states.append(copy.deepcopy(state))) if world.first else None
    fit(method, settings, log, save=save, resume=resume, world=world)
    weights = {name: p.detach().clone() for name, p in method.model.named_parameters()}
    return {"curve": curve, "weights": weights, "states": states}


def all_trainings(world: World, resume: Any = None) -> dict[str, Any]:
    """What the tests compare: both methods, one of them also going on from a checkpoint."""
    torch.set_num_threads(1)
    found = {
        "regression": train(regression(world), REGRESSION, world),
        "diffusion": train(diffusion(world), DIFFUSION, world),
    }
    found["resumed"] = train(
        diffusion(world), DIFFUSION, world, copy.deepcopy(resume or found["diffusion"]["states"][0])
    )
    return found


def together(world: World) -> dict[str, Any]:
    """What several processes must agree on: the second one wishes to stop; its loss alone is not finite."""
    method, stop = regression(world), Stop()
    plain = method.loss
    steps = []

    def loss(batch: Any, progress: float) -> Losses:
        steps.append(progress)
        stop.requested = world.rank == 1 and len(steps) == 2
        return plain(batch, progress)

    method.loss = loss  # type: ignore[method-assign]
    stopped = fit(method, REGRESSION, lambda *_: None, stop, world=world)
    if world.rank == 1:
        method.data.spoiled = True
    method.loss = plain  # type: ignore[method-assign]
    try:
        fit(method, REGRESSION, lambda *_: None, world=world)
    except TrainingDiverged as error:
        return {"stopped": stopped, "diverged": str(error)}
    return {"stopped": stopped, "diverged": None}


def start(folder: Path, count: int, states: Any) -> list[subprocess.Popen[str]]:
    """Start `count` processes that write what came of them to `folder`; `states` is a checkpoint to go on from."""
    torch.save(states, folder / "resume.pt")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    common = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common |= {"PYTHONPATH": root, "OMP_NUM_THREADS": 1}
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env={**os.environ, **{k: str(v) for k, v in (common | {"RANK": rank, "LOCAL_RANK": rank}).items()}},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    home = Path(sys.argv[1])
    everyone = init("gloo")
    result = all_trainings(everyone, torch.load(home / "resume.pt", weights_only=True))
    result["together"] = together(everyone)
    torch.save(result, home / f"result_{everyone.rank}.pt")
    everyone.destroy()
