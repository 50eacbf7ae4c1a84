"""A trained diffusion network, rebuilt from its training run alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.deploy.onnx import open_session
from audio2face.deploy.tensorrt import open_tensorrt
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.engine import Feeds, Step
from audio2face.models.common.exported import exported_network
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import Rollout, RolloutInputs
from audio2face.models.common.weights import trained
from audio2face.models.diffusion.model import StreamingGraph, streaming_graph
from audio2face.models.diffusion.network import NETWORKS, DiffusionRNN
from audio2face.models.diffusion.rollout import FrameNoise, offline, one_hot, stateless, streaming
from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun, undamaged


def build_network(run: TrainRun) -> DiffusionRNN:
    """The network of a run with random weights; nothing is downloaded. Raises UserError on an unknown name."""
    spec = run.spec
    if spec.network_name not in NETWORKS:
        raise UserError(f"network {spec.network_name!r} is unknown; known: {', '.join(NETWORKS)}")
    layout = ChannelLayout(spec.max_sizes)
    mean = torch.zeros(len(spec.actors), layout.size)
    if spec.extra["space"] == "vertices":
        mean = torch.from_numpy(np.stack([run.actor(name).mean_geometry for name in spec.actors]))
    network: Any = NETWORKS[spec.network_name]
    return network(
        layout=layout,
        mean=mean,
        fps=spec.fps,
        num_emotions=len(spec.emotion_names),
        diffusion_steps=spec.extra["diffusion_steps"],
        encoder_arguments=spec.extra["encoder"],
        **spec.hyper_params,
    )


def load_network(run: TrainRun) -> DiffusionRNN:
    """The trained network of a run, on the CPU. Raises UserError when its weights are missing."""
    return trained(run, partial(build_network, run))


def load_graph(
    run: TrainRun,
    device: torch.device,
    respacing: str | None = None,
    sampler: str | None = None,
    delta: bool = True,
) -> StreamingGraph:
    """The trained network with its sampler, in evaluation mode on `device`; the steps are the run's unless given.

    Raises UserError when the weights are missing or the run has fewer steps.
    """
    network = load_network(run)
    try:
        graph = streaming_graph(network, run, respacing, sampler, delta)
    except ValueError as error:
        raise UserError(f"TIMESTEP_RESPACING {error}") from error
    return graph.to(device).eval()


def torch_step(graph: StreamingGraph) -> Step:
    """A step that runs the graph in PyTorch behind the deployed tensors."""
    device = graph.codec.mean.device
    names = ("window", "identity", "emotion", "input_latents", "noise")

    def step(feeds: Feeds) -> Feeds:
        with torch.inference_mode():
            outputs = graph(*(torch.from_numpy(feeds[name]).to(device) for name in names))
        given = ("prediction", "output_latents", "curves")[: len(outputs)]
        return dict(zip(given, (x.cpu().numpy() for x in outputs), strict=True))

    return step


def exported_step(run: TrainRun, device: torch.device, backend: str) -> Step:
    """A step that runs the run's network.onnx: `backend` "onnx" in onnxruntime itself, "trt" in TensorRT through it.

    Raises UserError when the file, onnxruntime or TensorRT is missing.
    """

    def open_network(path: Path) -> Any:
        if backend == "trt":
            return open_tensorrt(path, run, device)
        with undamaged(run.name):
            return open_session(path, device)

    return exported_network(run, run.spec.actors[0], open_network, without="streaming")


class DiffusionRollout:
    """Animations of all actors of a run: by its network in PyTorch, or through the deployed tensors that `step` runs."""

    def __init__(self, graph: StreamingGraph, options: Options, step: Step | None = None):
        self.graph, self.options, self.step = graph, options, step

    def __call__(self, inputs: RolloutInputs) -> Iterator[np.ndarray]:
        """Blocks of rows (n, C): offsets of skin and tongue from the rest pose, jaw, eye, then curves."""
        noise = self._noise(inputs)
        if self.step is not None:
            return stateless(self.step, self.graph, inputs, noise)
        way = streaming if self.options.mode.windowed else offline
        return way(self.graph, inputs, noise, self.options.sampling.skip)

    def _noise(self, inputs: RolloutInputs) -> FrameNoise:
        """The noise of a take, on what the network works on."""
        s, codec, given = self.graph.streaming, self.graph.codec, self.options.sampling.noise
        with torch.inference_mode():
            identity = torch.from_numpy(one_hot(self.graph, inputs))[None].to(codec.mean.device)
            mask, fixed = codec.noised(identity)[0].cpu().numpy(), None
            if given is not None:
                centre = torch.from_numpy(given[None, :, s.left : s.left + s.centre]).to(codec.mean.device)
                fixed = codec.project_noise(centre, identity)[0].cpu().numpy()
        return FrameNoise(s, inputs.seed, inputs.take, mask, fixed)


def load(run: TrainRun, device: torch.device, options: Options) -> Rollout:
    """The run's network, ready to animate. Raises UserError when weights, exported network, onnxruntime or TensorRT lack."""
    mode, sampling = options.mode, options.sampling
    graph = load_graph(run, device, sampling.respacing, sampling.sampler, mode.delta or mode.exported)
    if not mode.stateless:
        return DiffusionRollout(graph, options)
    step = exported_step(run, device, mode.backend) if mode.exported else torch_step(graph)
    return DiffusionRollout(graph, options, step)
