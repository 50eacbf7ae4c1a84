"""What frozen encoders hear, kept on disk: found by the content of all that it was computed from, whoever computed it.

`<root>/<two digits>/<digest>.rows` holds the rows of one part, some frames of a clip at one time shift or a whole take, as they
lie in memory. The digest is of the sound as it is encoded, the encoder's code, settings and weights, and the form of a row.
A part appears when all of it is on the disk, so an interrupt costs the part that is being computed, and processes that keep
the same features at the same time find each other's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.config import Section
from audio2face.distributed import World
from audio2face.logs import Bar
from audio2face.paths import KILLED_AGE_S, atomic, external_path, local_path
from audio2face.runs.checkpoints import frozen_weights, weights_digest
from audio2face.runs.disk import disk_faults, free_bytes, text_of
from audio2face.runtime import Runtime, quick_in_bf16

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[2]
CODE = (
    "models/common/encoders/*.py",
    "models/common/layers.py",
    "models/diffusion/audio_context.py",
    "models/diffusion/network.py",
    "audio/windows.py",
)
NOT_SETTINGS = {"training", "name_or_path"}  # attributes of modules on which no feature depends
SUFFIX = ".rows"
LEFT_FREE = 2 << 30  # bytes that are never taken from a disk
OPEN_FILES = 64

Features = dict[str, Tensor]  # by encoder, rows first


@dataclass(frozen=True)
class RowForm:
    """The features of a row by name, each with its shape and the type that it is kept in."""

    features: Mapping[str, tuple[tuple[int, ...], torch.dtype]]

    @classmethod
    def of(cls, probe: Features, dtype: torch.dtype) -> RowForm:
        """The form of rows like those of `probe`: all in `dtype`, but what comes in bfloat16 stays so."""
        types = {name: torch.bfloat16 if x.dtype == torch.bfloat16 else dtype for name, x in probe.items()}
        return cls({name: (tuple(x.shape[1:]), types[name]) for name, x in probe.items()})

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each feature in a row."""
        return {name: int(np.prod(shape)) * dtype.itemsize for name, (shape, dtype) in self.features.items()}

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return sum(self.sizes.values())

    def pack(self, features: Features) -> np.ndarray:
        """Features of n rows as they are kept: (n, row_bytes) uint8."""
        parts = [features[name].to(dtype).flatten(1).contiguous() for name, (_, dtype) in self.features.items()]
        return torch.cat([part.cpu().view(torch.uint8) for part in parts], dim=1).numpy()

    def unpack(self, rows: np.ndarray) -> Features:
        """What `pack` was given, in the types that are kept: (n, row_bytes) uint8 -> (n, …) by name."""
        parts = torch.from_numpy(rows).split(list(self.sizes.values()), dim=1)
        found = {}
        for part, (name, (shape, dtype)) in zip(parts, self.features.items(), strict=True):
            found[name] = part.clone(memory_format=torch.contiguous_format).view(dtype).unflatten(1, shape)
        return found


def choose_form(probe: Features, num_rows: int, budget_bytes: float) -> tuple[RowForm, bool]:
    """The form of rows like `probe`, in single precision if so many fit in the budget and else in half; and whether they fit."""
    for dtype in (torch.float32, torch.float16):
        form = RowForm.of(probe, dtype)
        if form.row_bytes * num_rows <= budget_bytes:
            return form, True
    return form, False


@dataclass(frozen=True)
class FeatureStore:
    """A folder of kept features, at most `limit_bytes`, of which those not used for longest go first; and whose they are.

    `encoder` is the digest of what computes them, of `encoder_digest`.
    """

    root: Path
    limit_bytes: float
    encoder: str

    def path(self, form: RowForm, content: Sequence[np.ndarray]) -> Path:
        """Where the features are that the encoder computes from `content`, whether they are there or not."""
        found = hashlib.sha256(self.encoder.encode())
        found.update(repr([(k, s, str(t)) for k, (s, t) in form.features.items()]).encode())
        for array in content:
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
        digest = found.hexdigest()
        return self.root / digest[:2] / f"{digest[2:40]}{SUFFIX}"

    def refusal(self, total_bytes: float, missing_bytes: float) -> str | None:
        """Why so many bytes, of which some are yet to be written, cannot be kept here; None when they can."""
        if total_bytes > self.limit_bytes:
            return f"{text_of(total_bytes)}, more than FEATURE_CACHE_DISK_GB"
        self._remove_oldest(self.limit_bytes - missing_bytes)
        free = free_bytes(self.root)
        if free is not None and free - LEFT_FREE < missing_bytes:
            return f"{text_of(missing_bytes)} on the disk of {external_path(self.root)}, where {text_of(free)} are free"
        return None

    def _remove_oldest(self, limit: float) -> None:
        """Remove what was not used for longest until no more than `limit` bytes are left, and what killed processes left."""
        found = sorted(self._files())
        excess = sum(size for _, size, _ in found) - limit
        removed = 0
        for used_s, size, path in found:
            left_over = path.name.startswith(".") and time.time() - used_s > KILLED_AGE_S
            if excess > 0 or left_over:
                path.unlink(missing_ok=True)
                removed, excess = removed + size, excess - size
        if removed:
            logger.info("removed %s of features that were not used for longest", text_of(removed))

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was last used, its size and path."""
        for path in self.root.glob(f"??/*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            yield status.st_mtime, status.st_size, path


@dataclass
class KeptFeatures:
    """The features of all parts of a training set, on disk: part i has `counts[i]` rows at `paths[i]`.

    `compute(i)` gives them anew where a file is not there, or not whole: features are what they are, kept or not.
    """

    form: RowForm
    paths: list[Path]
    counts: Sequence[int]
    compute: Callable[[int], Features]
    _open: OrderedDict[int, BinaryIO] = field(default_factory=OrderedDict)

    def whole(self, part: int) -> bool:
        """Whether a part is on the disk; if so it counts as used now."""
        try:
            there = self.paths[part].stat().st_size == self.counts[part] * self.form.row_bytes
            if there:
                os.utime(self.paths[part])
        except OSError:
            return False
        return there

    def write(self, part: int) -> None:
        """Compute a part and bring it to the disk."""
        rows = self.form.pack(self.compute(part))
        with atomic(self.paths[part]) as partial, partial.open("wb") as file:
            file.write(rows.data)

    def span(self, part: int, first: int, count: int) -> Features:
        """Consecutive rows of a part, in the types that are kept."""
        return self.form.unpack(self._read(part, first, np.empty((count, self.form.row_bytes), np.uint8)))

    def rows(self, parts: Sequence[int], rows: Sequence[int]) -> Features:
        """Row rows[k] of part parts[k], for each k, in the types that are kept."""
        out = np.empty((len(parts), self.form.row_bytes), np.uint8)
        for place, (part, row) in enumerate(zip(parts, rows, strict=True)):
            self._read(part, row, out[place : place + 1])
        return self.form.unpack(out)

    def _read(self, part: int, first: int, out: np.ndarray) -> np.ndarray:
        """Fill `out` (n, row_bytes) from row `first` on. Read by position, not mapped: what is read is not this process's memory."""
        try:
            file = self._file(part)
            file.seek(first * self.form.row_bytes)
            if file.readinto(out.data) == out.nbytes:  # type: ignore[attr-defined]
                return out
        except FileNotFoundError:
            pass
        logger.warning("%s is gone or damaged; its features are computed again", external_path(self.paths[part]))
        self._close(part)
        self.write(part)
        return self._read(part, first, out)

    def _file(self, part: int) -> BinaryIO:
        if part not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._close(next(iter(self._open)))
            self._open[part] = self.paths[part].open("rb", buffering=0)  # type: ignore[assignment]
            os.utime(self.paths[part])  # in use: others are removed first
        self._open.move_to_end(part)
        return self._open[part]

    def _close(self, part: int) -> None:
        if part in self._open:
            self._open.pop(part).close()


def keep_features(store: FeatureStore, kept: KeptFeatures, world: World, what: str) -> bool:
    """Compute the parts that are not on the disk yet and bring them there; False when they do not fit.

    The processes of `world` share the work. Raises UserError when the disk fails; what is there stays.
    """
    row_bytes, number = kept.form.row_bytes, range(len(kept.paths))
    missing = [part for part in number if not kept.whole(part)]
    total, needed = (sum(kept.counts[part] for part in parts) * row_bytes for parts in (number, missing))
    refusals = world.all_gather(store.refusal(total, needed) if world.first else None)
    if refusals[0]:
        logger.info("%s: %s; not kept on disk", what, refusals[0])
        return False
    if missing:
        share = 1 - needed / total
        told = (what, text_of(total), external_path(store.root), 100 * share)
        logger.info("%s: %s in %s, %.0f %% of it is there", *told)
    then = "free space there, or move FEATURE_CACHE_ROOT, or set FEATURE_CACHE_DISK_GB = 0; what was computed is kept"
    with disk_faults(store.root, what, then):
        own = [part for part in missing if part % world.size == world.rank]
        _write(kept, own, what, world.first)
        world.all_gather(None)
        _write(kept, [part for part in missing if not kept.whole(part)], what, False)  # of machines with other disks
        world.all_gather(None)
    if not missing:
        logger.info("%s: %s from %s", what, text_of(total), external_path(store.root))
    return True


def _write(kept: KeptFeatures, missing: Sequence[int], what: str, shown: bool) -> None:
    """Write parts unless another process has done so meanwhile. Each begins elsewhere, so that two do not do the same."""
    begin = os.getpid() % max(len(missing), 1)
    with Bar(sum(kept.counts[part] for part in missing), what, "row", shown) as bar:
        try:
            for part in [*missing[begin:], *missing[:begin]]:
                if not kept.whole(part):
                    kept.write(part)
                bar.update(kept.counts[part])
        except KeyboardInterrupt:
            logger.info("%s: stopped; what was computed is kept, and the same command goes on from there", what)
            raise


def encoder_digest(encoder: nn.Module, device: torch.device, **settings: Any) -> str:
    """SHA-256 of all that features depend on beside the sound: code, settings, and the weights that are not trained."""
    found = hashlib.sha256(torch.__version__.encode())
    for path in sorted(path for pattern in CODE for path in PACKAGE.glob(pattern)):
        found.update(path.read_bytes())
    told = {**settings, "device": device.type, "products": torch.get_float32_matmul_precision()}
    found.update(json.dumps(told, sort_keys=True, default=str).encode())
    for config in _library_configs(encoder):
        found.update(json.dumps(config, sort_keys=True, default=str).encode())
    for name, module in encoder.named_modules():
        own = {k: v for k, v in vars(module).items() if k[0] != "_" and k not in NOT_SETTINGS}
        plain = {k: v for k, v in own.items() if isinstance(v, bool | int | float | str | tuple)}
        found.update(repr((name, type(module).__qualname__, sorted(plain.items()))).encode())
    found.update(weights_digest({**frozen_weights(encoder), **dict(encoder.named_buffers())}).encode())
    return found.hexdigest()


def _library_configs(encoder: nn.Module) -> Iterator[dict[str, Any]]:
    """The settings of the models of transformers in an encoder, without where they came from."""
    configs = {id(c): c for m in encoder.modules() if (c := getattr(m, "config", None)) and hasattr(c, "to_diff_dict")}
    for config in configs.values():
        values = {k: v for k, v in config.to_diff_dict().items() if k not in ("_name_or_path", "transformers_version")}
        yield {**values, "attention": config._attn_implementation, "library": version("transformers")}


def build_feature_store(
    train: Section, encoders: Sequence[Any], runtime: Runtime, **settings: Any
) -> FeatureStore | None:
    """Where the features of frozen encoders are kept on disk; None when they are not to be, or cost too little to be.

    `settings` are what they depend on beside the encoders, as JSON values.
    """
    if not train.FEATURE_CACHE_DISK_GB or not any(encoder.frozen for encoder in encoders):
        return None
    digest = encoder_digest(
        nn.ModuleList(encoders),
        runtime.device,
        **settings,
        bf16=train.PRECISION == "bf16" and quick_in_bf16(runtime.device),
    )
    return FeatureStore(local_path(train.FEATURE_CACHE_ROOT), train.FEATURE_CACHE_DISK_GB * 1e9, digest)
