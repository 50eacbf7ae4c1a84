"""Device, precision, seeds, determinism and logging: the only place that names an accelerator."""

from __future__ import annotations

import ctypes
import logging
import os
import random
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.distributed import ALONE, World, init, local_count, local_rank
from audio2face.machine import free_memory
from audio2face.problems import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """Where tensors live, and which processes train together."""

    device: torch.device
    world: World = ALONE

    @property
    def memory_sharers(self) -> int:
        """How many processes keep their tensors in the memory of this device."""
        return local_count() if self.device.type == "cpu" and self.world.size > 1 else 1

    @property
    def free_bytes(self) -> int | None:
        """Memory that is free on the machine and, if it has its own, on the device; None when unknown."""
        free = free_memory()
        if self.device.type != "cuda":
            return free
        own = int(torch.cuda.mem_get_info(self.device)[0])
        return own if free is None else min(free, own)


def choose_device(name: str | None = None) -> torch.device:
    """The device for `name`, else A2F_DEVICE: auto, cpu, cuda, cuda:<n> or mps. Raises UserError when there is none."""
    name = (name or os.environ.get("A2F_DEVICE") or "auto").strip().lower()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UserError(f"A2F_DEVICE={name}: expected auto, cpu, cuda, cuda:<number> or mps")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise UserError(f"A2F_DEVICE={name}: PyTorch sees {count} CUDA device(s) here; use A2F_DEVICE=cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError("A2F_DEVICE=mps: PyTorch has no Metal device here; use A2F_DEVICE=cpu or auto")
    return torch.device(name)


def num_devices() -> int:
    """How many accelerators training can use here: all visible GPUs, or the one that A2F_DEVICE names; 0 on the CPU."""
    device = choose_device()
    return torch.cuda.device_count() if device.type == "cuda" and device.index is None else int(device.type != "cpu")


def device_name(device: torch.device) -> str:
    """What a device is called."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return device.type


def quick_in_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 faster than in float32: accelerators, processors with AVX-512 BF16 or AMX."""
    if device.type != "cpu":
        return True
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # of PyTorch 2.9 and later
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def join_processes() -> tuple[torch.device, World]:
    """The device of this process, and the processes that torchrun started together with it. Raises UserError."""
    device = choose_device()
    if device.type == "cuda":
        if device.index is None and local_count() > 1:
            device = torch.device("cuda", local_rank())
            if local_rank() >= torch.cuda.device_count():
                raise UserError(
                    f"torchrun started {local_count()} processes here, but there are {torch.cuda.device_count()} GPUs: "
                    "lower --nproc-per-node, or set A2F_DEVICE=cpu"
                )
        torch.cuda.set_device(device)
    return device, init("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")


def start(seed: int = 0, reproducible: bool = True, device: str | None = None, together: bool = False) -> Runtime:
    """Seed everything, set determinism and matmul precision, and pick the device. Called once by a command.

    `together`: with the other processes that torchrun has started, if it has.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high" if not reproducible else "highest")
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = not reproducible
    if reproducible:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        torch.use_deterministic_algorithms(False)
    chosen, world = join_processes() if together else (choose_device(device), ALONE)
    if not world.first:
        logging.getLogger().setLevel(logging.ERROR)  # the first one speaks for all
    runtime = Runtime(chosen, world=world)
    logger.info(
        "device %s (%d CPU threads), seed %d%s%s",
        runtime.device,
        torch.get_num_threads(),
        seed,
        ", reproducible" if reproducible else "",
        f", {world.size} processes" if world.size > 1 else "",
    )
    return runtime


def random_state() -> dict[str, torch.Tensor]:
    """The state of the global generators, which weight initialisation and dropout draw from; a GPU's if it is in use."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Take up a state that `random_state` gave."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"].cpu())


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 << 20  # that glibc takes
MOST_EARLY_LINES = 1000


@contextmanager
def memory_kept() -> Iterator[None]:
    """Within the block the process keeps memory that it frees, for what it needs next; afterwards it is given back.

    Otherwise every step of a training gets its large tensors as new pages from the system, which clears each before its
    first use. Does nothing where the C library is not glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)
        libc.malloc_trim(0)


def model_cache(root: Path) -> Path:
    """Point every model library's download cache below `root` and return that folder (created)."""
    root.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TORCH_HOME", str(root))
    os.environ.setdefault("HF_HOME", str(root / "huggingface"))
    return root


class LogFile(logging.FileHandler):
    """A run's log. When the disk refuses a line, that is reported once and the run continues without the file."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Stop writing when the disk refuses, and say so once; the command goes on."""
        error = sys.exc_info()[1]
        logging.getLogger().removeHandler(self)
        try:
            self.close()
        except OSError:
            pass  # the same fault, met again
        logger.warning("stopped writing %s: %s", self.baseFilename, error)


class EarlyLines(logging.Handler):
    """What was logged before a run has its folder: the first lines of its log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=MOST_EARLY_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def setup_logging(log_file: Path | None = None, verbose: bool = False) -> None:
    """Log to stdout, and to `log_file` as well when given, from the first line on. Calling again moves the file."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    early = EarlyLines()
    for handler in list(root.handlers):
        if getattr(handler, "audio2face", False):
            early.records.extend(getattr(handler, "records", ()))
            root.removeHandler(handler)
            handler.close()
    second: logging.Handler = early
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        second = LogFile(log_file, encoding="utf-8")
    for handler in (logging.StreamHandler(sys.stdout), second):
        handler.audio2face = True  # type: ignore[attr-defined]
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    if second is not early:
        for record in early.records:
            second.handle(record)
    for noisy in ("matplotlib", "numba", "PIL", "onnx_ir", "onnxscript", "torch.onnx", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(True)
