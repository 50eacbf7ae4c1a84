"""What a device must do as the CPU does: steps of both methods, checkpoints, exported networks, several processes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio2face import runtime as runtimes
from audio2face.config import load_config, section_from_values
from audio2face.distributed import Rng
from audio2face.models import family
from audio2face.models.common.encoders import in_precision
from audio2face.models.common.inputs import Training, build_inputs
from audio2face.models.common.weights import read_weights
from audio2face.training.checkpoint_writer import copied
from audio2face.training.loop import Fit, fit

CPU = "cpu"
STEPS, WARM = 24, 3  # of a trial, and those before its clock starts
EPOCHS = 1000  # of which a trial is the beginning
WINDOWS, WINDOW = 16, 8320
CLOSE = {"fp32": 1e-3, "bf16": 5e-2}  # largest relative difference of what a network gives on the device and on the CPU
ON_DEVICE = 1e-4  # of the weights of a resumed training, where products need not add up in one order
TOGETHER = 5e-2  # of the weights of two processes and of one, after a short training


@dataclass(frozen=True)
class Row:
    """A line of the table: whether something holds (None: it could not be tried), what was found, milliseconds."""

    check: str
    holds: bool | None
    told: str
    device_ms: float | None = None
    cpu_ms: float | None = None


@dataclass(frozen=True)
class Trial:
    """A short training: what the untrained network gives, the steps' mean squared errors, milliseconds of a step."""

    output: Tensor
    losses: list[float]
    step_ms: float

    @property
    def falls(self) -> bool:
        """Whether the loss is finite and lower at the end."""
        third = len(self.losses) // 3
        return bool(np.isfinite(self.losses).all() and np.mean(self.losses[-third:]) < np.mean(self.losses[:third]))


def build_training(project: str, device: str, **keys: Any) -> Training:
    """The training of a project on a device, with other keys of config_train."""
    sections = load_config(project, ("train", "dataset"), optional=("inference", "preproc"))
    train = section_from_values("train", {**sections["train"].modifier, **keys})
    runtime = runtimes.start(train.RNG_SEED_TORCH, train.REPRODUCIBLE, device)
    inputs = build_inputs(project, train, sections["dataset"], sections["inference"], None, sections["preproc"])
    return family(train.NETWORK_TYPE, train.NETWORK_NAME).build(inputs, runtime)


def first_output(method: Any) -> Tensor:
    """What the network gives for the first batch, without dropout: (…) on the CPU. Noise is the same on every device."""
    batch, model = next(method.data.batches(0)), method.model.eval()
    with torch.no_grad():
        if hasattr(method, "restored"):
            x_0 = method.codec.frames(batch.target, batch.actor)
            noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0)).to(x_0.device)
            place = torch.arange(len(x_0), device=x_0.device) * (len(method.alphas) - 1) // max(len(x_0) - 1, 1)
            found = method.restored(batch, x_0, place, noise, Rng(batch.shard))
        else:
            features = batch.features or model.network.features(batch.audio)
            implicit = model.implicit[batch.frame_ids]
            with method.precision.autocast(implicit.device):
                found, _ = method.decode(features, batch.conditions.replaced(implicit=implicit))
    model.train()
    return found.float().cpu()


def try_steps(training: Training, steps: int = STEPS) -> Trial:
    """Some steps of a training that has not begun, as if many were to follow."""
    run = Fit(training.method, replace(training.settings, epochs=EPOCHS, accumulate=1))
    output = first_output(training.method)
    run.model.train()
    epochs = itertools.chain.from_iterable(training.method.data.batches(epoch) for epoch in itertools.count())
    losses, seconds = [], []
    for batch in itertools.islice(epochs, steps):
        begun_s = time.perf_counter()
        loss = run.backward(batch).terms["MSE"]
        run.optimizer_step()
        losses.append(float(loss))  # waits for the device
        seconds.append(time.perf_counter() - begun_s)
    return Trial(output, losses, 1e3 * float(np.median(seconds[min(WARM, steps - 1) :])))


def off(ours: Tensor, theirs: Tensor) -> float:
    """Relative difference of two tensors: the length of the difference over that of the second."""
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-12))


def check_steps(method: str, device: str, compiled: bool = False) -> Iterator[Row]:
    """Both precisions of a method against float32 on the CPU."""
    reference = try_steps(build_training(method, CPU))
    for precision in ("fp32", "bf16"):
        name = f"{method}, {precision}{', compiled' if compiled else ''}"
        trial = try_steps(build_training(method, device, PRECISION=precision, COMPILE=compiled))
        difference = off(trial.output, reference.output)
        told = f"outputs off by {difference:.1e}, MSE {trial.losses[0]:.3g} to {trial.losses[-1]:.3g}"
        holds = difference <= CLOSE[precision] and trial.falls
        yield Row(name, holds, told, trial.step_ms, reference.step_ms)


def check_features(device: str) -> Iterator[Row]:
    """A frozen wav2vec 2.0 of base size, one layer, random weights: windows of sound in both precisions."""
    from audio2face.models.common.encoders.speech_transformer import SpeechTransformer
    from audio2face.models.regression.network import W2V

    torch.manual_seed(0)
    encoder = SpeechTransformer(W2V, "", config={"num_hidden_layers": 1}, pretrained=False, width=256).eval()
    sound = 0.2 * torch.randn(WINDOWS, WINDOW, generator=torch.Generator().manual_seed(1))
    exact, cpu_ms = timed(partial(encoder.features, sound), CPU)
    encoder, placed = encoder.to(device), sound.to(device)
    for precision in ("fp32", "bf16"):
        compute = partial(encoder.features, placed)
        found, ms = timed(partial(in_precision, encoder, precision == "bf16", placed.device, compute), device)
        difference = off(found.float().cpu(), exact)
        told = f"off by {difference:.1e}"
        yield Row(
            f"features of a window, {precision}", difference <= CLOSE[precision], told, ms / WINDOWS, cpu_ms / WINDOWS
        )


def timed(compute: Callable[[], Tensor], device: str) -> tuple[Tensor, float]:
    """What is computed, and the milliseconds that it takes the second time."""
    for _ in range(2):
        begun_s = time.perf_counter()
        found = compute()
        float(found.flatten()[0])  # waits for the device
        ms = 1e3 * (time.perf_counter() - begun_s)
    return found, ms


def check_resume(method: str, device: str) -> Iterator[Row]:
    """A training that goes on from a checkpoint ends as one that was not interrupted."""

    def train(resume: dict[str, Any] | None = None) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        training, states = build_training(method, device), []
        settings = replace(training.settings, epochs=2, checkpoint_epochs=1, checkpoint_minutes=None)
        fit(training.method, settings, lambda *_: None, save=lambda s: states.append(copied(s)), resume=resume)
        return states, copied(training.method.model.state_dict())

    states, whole = train()
    _, resumed = train(states[0])
    yield weights_row(f"{method}, resume", resumed, whole, 0.0 if device == CPU else ON_DEVICE)


def weights_row(name: str, ours: dict[str, Tensor], theirs: dict[str, Tensor], close: float) -> Row:
    """Whether two trainings have the same weights."""
    same = all(torch.equal(ours[key], x) for key, x in theirs.items())
    flat = [torch.cat([x[key].float().flatten() for key in sorted(theirs)]) for x in (ours, theirs)]
    difference = off(*flat)
    told = "the same weights, bit by bit" if same else f"weights off by {difference:.1e}"
    return Row(name, same or difference <= close, told)


def check_export(method: str, device: str) -> Iterator[Row]:
    """The command trains and exports; its run animates in PyTorch, onnxruntime and TensorRT as it does on the CPU."""
    from audio2face.commands import train
    from audio2face.problems import UserError

    begun_s = time.perf_counter()
    run = train.run(method).run
    yield Row(f"{method}, train and export", True, f"{time.perf_counter() - begun_s:.0f} s in all")
    exact = {mode: animate(method, run, mode, CPU) for mode in (None, "graph")}
    for mode in NAMES:
        if mode not in MODES[method]:
            continue
        theirs, cpu_ms = exact[None if mode is None else "graph"]
        try:
            rows, ms = animate(method, run, mode, device)
        except UserError as error:
            yield Row(f"{method}, {NAMES[mode]}", None, str(error.lines[0]).partition(":")[0])
            continue
        difference = off(rows, theirs)
        told = f"a sentence, off by {difference:.1e}"
        yield Row(f"{method}, {NAMES[mode]}", difference <= CLOSE["fp32"], told, ms, cpu_ms)


MODES: dict[
    str, dict[str | None, str]
] = {  # method -> INFERENCE_MODE of PyTorch, of the exported graph, and what runs it
    "regression": {None: "offline", "graph": "offline", "onnx": "offline_onnx"},
    "diffusion": {
        None: "offline",
        "graph": "streaming_stateless_output_delta",
        "onnx": "streaming_stateless_output_delta_onnx",
        "trt": "streaming_stateless_output_delta_trt",
    },
}
NAMES = {None: "PyTorch", "onnx": "onnxruntime", "trt": "TensorRT"}


def animate(method: str, run: str, mode: str | None, device: str) -> tuple[Tensor, float]:
    """Rows (T, C) of the held-out sentence and the milliseconds that they take, the network being ready."""
    from audio2face.commands.find_run import find_training_run, post_configs, train_section
    from audio2face.inference.animate import Speaker, load_animator
    from audio2face.inference.job import build_job

    found = find_training_run(method, run, train_section(method, run))
    section = load_config(method, (), optional=("inference",), network_type=method)["inference"]
    section = section_from_values("inference", {**section.modifier, "INFERENCE_MODE": MODES[method][mode]}, method)
    job = build_job(section, found, post_configs(section, found))
    place = runtimes.choose_device(device)
    animator = load_animator(found, {job.actor.name: job.actor}, job.options, place, job.postprocess)
    sound, speaker = animator.load_sound(job.files[0]), Speaker(job.actor.name, job.emotion)
    for _ in range(2):
        begun_s = time.perf_counter()
        rows = np.concatenate(list(animator.blocks(sound, speaker)))
        ms = 1e3 * (time.perf_counter() - begun_s)
    return torch.from_numpy(rows), ms


def check_processes(method: str, device: str) -> Iterator[Row]:
    """Two processes train what one does."""
    name, count = f"{method}, two processes", runtimes.num_devices() if device != CPU else 2
    if count < 2:
        yield Row(name, None, f"needs two accelerators, {count} here")
        return
    from audio2face.commands import train
    from audio2face.paths import local_path

    root = local_path(load_config(method, ("train",))["train"].TRAIN_OUTPUT_ROOT)
    seconds, weights = [], []
    for project in (method, f"{method}-two"):
        begun_s = time.perf_counter()
        run = train.run(project).run
        seconds.append(time.perf_counter() - begun_s)
        weights.append(read_weights(Path(root) / run / "weights.pth"))
    row = weights_row(name, weights[1], weights[0], TOGETHER)
    yield replace(row, told=f"{row.told}; {seconds[1]:.0f} s, one process {seconds[0]:.0f} s")


CHECKS: dict[str, Callable[[str], Iterator[Row]]] = {  # in the order of the table; device -> rows
    "features": check_features,
    **{method: partial(check_steps, method) for method in MODES},
    **{f"{method}-resume": partial(check_resume, method) for method in MODES},
    **{f"{method}-export": partial(check_export, method) for method in MODES},
    **{f"{method}-processes": partial(check_processes, method) for method in MODES},
    **{f"{method}-compiled": partial(check_steps, method, compiled=True) for method in MODES},
}
