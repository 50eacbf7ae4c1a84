"""Results of earlier preprocessing runs that still hold: found by the content of everything that went into them.

`configs/stages.json` of a run holds, for every mesh, what its basis was made of (`parts`: settings, code, a digest of each
file) and digests of what came out. A new run with the same parts takes the basis over instead of computing it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audio2face import __version__
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npz
from audio2face.geometry.pca_fit import Fit, ShotError
from audio2face.logs import each
from audio2face.machine import pool_size
from audio2face.preproc.basis import BasisSettings, MeshBasis
from audio2face.runs.preproc_run import FILES
from audio2face.runs.run_dir import FULL_NAME, is_complete
from audio2face.types import Cache, Pca

logger = logging.getLogger(__name__)

STAGES_FILE = "configs/stages.json"
PACKAGE = Path(__file__).resolve().parent.parent
CODE = (
    "geometry/**/*.py",
    "formats/*.py",
    "preproc/basis.py",
    "dataset/caches.py",
    "preproc/skin.py",
    "preproc/tongue.py",
)
SETTLED_NS = 2_000_000_000  # a file changed so shortly before it was read may change again within one tick of its clock
MOST_NAMED = 4

StageInputs = dict[str, Any]


def digest(content: Path | np.ndarray | None) -> str | None:
    """SHA-256 of a file, or of an array with its shape and type."""
    if content is None:
        return None
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    array = np.ascontiguousarray(content)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def code_digest() -> str:
    """SHA-256 of the source that computes the stages."""
    paths = sorted(path for pattern in CODE for path in PACKAGE.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@dataclass
class StageCache:
    """The earlier runs in `root` to take stages from; none, and nothing is remembered, with `enabled` off."""

    root: Path
    enabled: bool = True
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # mesh -> entry of stages.json
    files: dict[str, list[Any]] = field(default_factory=dict)  # path -> size, mtime_ns, digest, of this run
    _known: dict[str, list[Any]] = field(default_factory=dict)  # the same, of the newest run that has them
    _runs: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        folders = sorted(self.root.iterdir(), reverse=True) if self.enabled and self.root.is_dir() else []
        for folder in folders:
            if FULL_NAME.match(folder.name) and is_complete(folder) and (content := _read(folder)):
                self._runs.append((folder, content))
                self._known = {**content["files"], **self._known}

    def inputs(
        self,
        mesh: str,
        settings: BasisSettings,
        arrays: Mapping[str, np.ndarray | None],
        caches: Mapping[str, Iterable[Cache]],
        **more: Any,
    ) -> StageInputs:
        """What a mesh's basis depends on, under readable names. `caches` by what they are, in the order of reading."""
        listed = [(what, cache) for what, group in caches.items() for cache in group]
        with ThreadPoolExecutor(pool_size()) as pool:
            digests = pool.map(lambda entry: self._cache(entry[1]), listed)
            contents = list(each(digests, len(listed), f"{mesh.lower()}: what the files hold", "cache"))
        return {
            "framework": __version__,
            "numpy": np.__version__,
            "code": code_digest(),
            f"{mesh}_PRUNE_SIM_DIST": settings.similar_distance,
            f"{mesh}_PCA_VARIANCE_THRESHOLD": settings.variance_share,
            f"{mesh}_FORCE_COMPONENTS": settings.num_components,
            **more,
            **{name: digest(array) for name, array in arrays.items()},
            "shots": [f"{what} {cache.shot}" for what, cache in listed],
            **{f"{what} of {c.shot}": found for (what, c), found in zip(listed, contents, strict=True)},
        }

    def get_or_compute(self, mesh: str, inputs: StageInputs, compute: Callable[[], MeshBasis]) -> MeshBasis:
        """The basis of an earlier run with the same parts, or else a computed one."""
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        for folder, content in self._runs:
            entry = content["stages"].get(mesh)
            if entry and entry.get("key") == key and (basis := _load(folder, mesh, entry)):
                logger.info("%s: reused from %s, whose data and settings are the same", mesh, folder.name)
                self.stages[mesh] = {**entry, "taken_from": folder.name}
                return basis
        self._log_why(mesh, inputs)
        basis = compute()
        errors = {shot: [e.mean, e.largest, e.residual, e.variance] for shot, e in basis.errors.items()}
        self.stages[mesh] = {"key": key, "parts": inputs, "share": basis.fit.share, "errors": errors}
        return basis

    def write(self, folder: Path) -> None:
        """Write stages.json of a run whose stages are on the disk."""
        for mesh, entry in self.stages.items():
            paths = sorted(path for path in (folder / "pca" / mesh).rglob("*") if path.is_file())
            entry["outputs"] = {path.relative_to(folder).as_posix(): digest(path) for path in paths}
        write_json(folder / STAGES_FILE, {"stages": self.stages, "files": self.files})

    def _cache(self, cache: Cache) -> str:
        """One digest of all files beside a cache: formats may spread over several."""
        paths = sorted(p for p in cache.path.parent.iterdir() if p.is_file() and not p.name.startswith("."))
        names = [*(f"{path.name}:{self._file(path)}\n" for path in paths), cache.channel or ""]
        return hashlib.sha256("".join(names).encode()).hexdigest()

    def _file(self, path: Path) -> str:
        """A file's digest: by its content, or the one it had when size and time are still those of an earlier run."""
        status = path.stat()
        known = self._known.get(str(path), [])
        if known[:2] == [status.st_size, status.st_mtime_ns]:
            found = str(known[2])
        else:
            found = str(digest(path))
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
            self.files[str(path)] = [status.st_size, status.st_mtime_ns, found]
        return found

    def _log_why(self, mesh: str, inputs: StageInputs) -> None:
        """Name what keeps the run that is most alike from being used; it may be one of another project."""
        unlike: list[tuple[list[str], str]] = []
        for folder, content in self._runs:
            before = content["stages"].get(mesh, {}).get("parts")
            if before and set(inputs["shots"]) & set(before.get("shots", ())):  # else perhaps of another actor
                names = inputs.keys() | before.keys()
                unlike.append((sorted(name for name in names if inputs.get(name) != before.get(name)), folder.name))
        if unlike:
            names, run = min(unlike, key=lambda entry: len(entry[0]))
            named = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
            logger.info("%s: recomputed, because of differences from run %s: %s", mesh, run, named or "its results")


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        content = read_json(folder / STAGES_FILE)
        entries = [*content["stages"].values(), content["files"]]
        sound = all(isinstance(entry, dict) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return content if sound else None


def _load(folder: Path, mesh: str, entry: dict[str, Any]) -> MeshBasis | None:
    """The basis that a run holds, or None when its files are not those that were written."""
    try:
        if any(digest(folder / name) != value for name, value in entry["outputs"].items()):
            logger.warning("%s: files of its %s basis have been changed; computing it again", folder.name, mesh)
            return None
        shapes = read_npz(folder / FILES[f"{mesh}_shapes"])
        coeffs = read_npz(folder / FILES[f"{mesh}_coeffs"])
        pca = Pca(shapes["shapes_matrix"], shapes["shapes_mean"], shapes["shapes_variance"])
        errors = {shot: ShotError(*values) for shot, values in entry["errors"].items()}
        names = [Path(name) for name in entry["outputs"] if "/intermediate/" in name]
        stages = {name.stem: read_json(folder / name) for name in names}
        return MeshBasis(Fit(pca, entry["share"]), coeffs, errors, stages)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: its %s basis cannot be read (%s); computing it again", folder.name, mesh, error)
        return None
