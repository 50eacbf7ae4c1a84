"""A trained regression network, loaded from its training run: in PyTorch, or the exported graph in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from audio2face.deploy.onnx import open_session
from audio2face.models.common.engine import Feeds, Step
from audio2face.models.common.exported import exported_network
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import Rollout, RolloutInputs
from audio2face.models.regression.graph import actor_signature, regression_graph
from audio2face.models.regression.rollout import regression_rollout
from audio2face.problems import UserError
from audio2face.runs.train_run import NetworkSpec, TrainRun, undamaged


def build_network(spec: NetworkSpec) -> nn.Module:
    """The network that a training run describes, with weights still to be loaded; nothing is downloaded.

    `spec.extra` may hold "phoneme_sizes" {language: classes} and "rebuild" {argument: value}, what the constructor
    needs beside the hyper-parameters. Raises UserError on an unknown name.
    """
    from audio2face.models.regression.network import NETWORKS

    if spec.network_name not in NETWORKS:
        raise UserError(f"network {spec.network_name!r} is unknown; known: {', '.join(NETWORKS)}")
    arguments = {"buffer_len": spec.audio_params["buffer_len"], **spec.hyper_params, **spec.extra.get("rebuild", {})}
    return NETWORKS[spec.network_name](
        output_sizes=spec.max_sizes,
        num_emotions=len(spec.emotion_names),
        num_actors=len(spec.actors),
        phoneme_sizes=spec.extra.get("phoneme_sizes", {}),
        **{**arguments, "pretrained": False},
    )


def load_network(run: TrainRun, device: torch.device) -> nn.Module:
    """The trained network of a run in evaluation mode on `device`. Raises UserError when its weights are missing."""
    from audio2face.models.common.weights import trained

    return trained(run, partial(build_network, run.spec)).to(device).eval()


def torch_backend(run: TrainRun, actor: str, device: torch.device) -> Step:
    """A step that runs the trained weights in PyTorch behind the deployed tensors."""
    implicit_len = run.emotion_db(actor).length
    graph = regression_graph(load_network(run, device), run.spec, run.actor(actor), implicit_len).to(device).eval()
    names = actor_signature(run.spec, run.actor(actor), implicit_len, curves=True)

    def step(feeds: Feeds) -> Feeds:
        with torch.inference_mode():
            outputs = graph(*(torch.from_numpy(feeds[name]).to(device) for name in names.input_names))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(names.output_names, (x.cpu().numpy() for x in outputs), strict=True))

    return step


def onnx_backend(run: TrainRun, actor: str, device: torch.device) -> Step:
    """A step that runs the network.onnx of the run in onnxruntime. Raises UserError when either is missing."""

    def open_network(path: Path) -> Any:
        with undamaged(run.name):
            return open_session(path, device)

    return exported_network(run, actor, open_network, without="offline")


BACKENDS: dict[str, Callable[[TrainRun, str, torch.device], Step]] = {"torch": torch_backend, "onnx": onnx_backend}


class RegressionRollout:
    """Animations of all actors of a run; the network of each is loaded when it is first asked for."""

    def __init__(self, run: TrainRun, device: torch.device, backend: str):
        self.run, self.device, self.backend = run, device, backend
        self._steps: dict[int, Step] = {}

    def __call__(self, inputs: RolloutInputs) -> Iterator[np.ndarray]:
        """Blocks of rows (n, C): coefficients of skin and tongue, jaw, eye, then curves."""
        spec = self.run.spec
        if inputs.identity not in self._steps:
            backend = BACKENDS[self.backend]
            self._steps[inputs.identity] = backend(self.run, spec.actors[inputs.identity], self.device)
        return regression_rollout(self._steps[inputs.identity], inputs, spec.fps, spec.audio_params)


def load(run: TrainRun, device: torch.device, options: Options) -> Rollout:
    """The run's network, ready to animate."""
    return RegressionRollout(run, device, options.mode.backend)
