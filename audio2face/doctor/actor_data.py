"""What the doctor looks at: one actor's files, caches by their headers, small arrays, and the config that bears on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audio2face.config import section_from_values
from audio2face.dataset.caches import Cache, find_caches, frame_rate
from audio2face.dataset.checks import build_inputs
from audio2face.dataset.files import PATHS, DatasetFiles, channels, check_path, not_fetched
from audio2face.dataset.shots import shot_emotions, shot_language
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.types import Shot

if TYPE_CHECKING:
    from audio2face.config import Section

Pairs = tuple[np.ndarray, np.ndarray]
T = TypeVar("T")


@dataclass(frozen=True)
class Mesh:
    """Skin or tongue: its caches with the usual number of vertices, and the pose at rest (V, 3) when it fits them."""

    name: str
    caches: dict[str, Cache]
    num_vertices: int
    neutral: np.ndarray | None


@dataclass(frozen=True)
class TrainingPlan:
    """What config_train asks of the data. `rows` are CLIPS and `muted` AUG_MUTED_SHOTS of this actor."""

    rows: list[Any] = field(default_factory=list)
    muted: list[Any] = field(default_factory=list)
    phoneme_languages: list[str] = field(default_factory=list)
    default_emotion: str | None = None
    shortest_clip: int = 1
    lid_threshold: float | None = None


@dataclass(frozen=True)
class Subject:
    """One actor. `pairs` are the vertex lists (upper, lower) that were given and are in range, by lip_dist, lip_size, eye_dist."""

    files: DatasetFiles
    fps: float
    units_per_metre: float
    skin: Mesh
    tongue: Mesh
    shots: list[Shot]
    languages: dict[str, str]
    emotions: list[str]
    pairs: dict[str, Pairs]
    rigid_vertices: np.ndarray | None
    prune_distance: float
    plan: TrainingPlan | None = None
    mapped: frozenset[str] = frozenset()  # shots of SHOT_EMOTION_MAP

    @property
    def actor(self) -> str:
        return self.files.actor

    @property
    def unit_mm(self) -> float:
        """Millimetres in one unit of the meshes."""
        return 1000 / self.units_per_metre


def build_subject(sections: Mapping[str, Section], actor: str) -> tuple[Subject | None, list[str]]:
    """The actor's data as far as it can be read, and every problem that preprocessing would stop at.

    `sections` holds dataset, and preproc and train when there are any. None when there is no skin cache to look at.
    """
    dataset = sections["dataset"]
    preproc = sections.get("preproc") or section_from_values("preproc", {})
    problems: list[str] = []
    with _quiet():
        try:
            build_inputs(dataset, preproc, actor)
        except UserError as error:
            problems = list(error.lines)
        files = _existing_files(dataset, actor)
        if not_fetched(files):
            return None, problems
        skin = _mesh("skin", files, preproc.SKIN_CACHE_SHOTS.get(actor), files.skin_neutral)
        if not skin.caches:
            return None, problems
        tongue = _mesh("tongue", files, preproc.TONGUE_CACHE_SHOTS.get(actor), files.tongue_neutral)
        fps, _ = frame_rate(skin.caches, dataset.CACHE_FPS.get(actor), actor)
        known = [*dataset.SHOT_EMOTION_NAMES]
        emotions, _ = shot_emotions(actor, list(skin.caches), known, dataset.SHOT_EMOTION_MAP)
    subject = Subject(
        files=files,
        fps=fps,
        units_per_metre=float(dataset.UNITS_PER_METRE),
        skin=skin,
        tongue=tongue,
        shots=[Shot(actor, c.shot, c.num_frames, fps, emotions[c.shot]) for c in skin.caches.values()],
        languages={shot: shot_language(dataset.SHOT_LANGUAGE_MAP, actor, shot) for shot in skin.caches},
        emotions=known,
        pairs=_pairs(files, skin.num_vertices),
        rigid_vertices=readable(files.tongue_rigid_vertices, tongue.num_vertices),
        prune_distance=float(preproc.SKIN_PRUNE_SIM_DIST),
        plan=_build_plan(sections["train"], actor) if "train" in sections else None,
        mapped=frozenset(shot for name, shot, _ in dataset.SHOT_EMOTION_MAP if name == actor),
    )
    return subject, problems


def _build_plan(train: Section, actor: str) -> TrainingPlan:
    values = train.values
    forced = values.get("PHONEME_FORCING_LANGS") if values.get("LOSS_PHONEME_ALPHA") else None
    return TrainingPlan(
        rows=[row for row in train.CLIPS if row[0] == actor],
        muted=[row for row in train.AUG_MUTED_SHOTS if row[0] == actor],
        phoneme_languages=list(forced or ()),
        default_emotion=values.get("DEFAULT_SHOT_EMOTION_NAME"),
        shortest_clip=int(values.get("SUBSEGMENT_MIN_FRAME") or values.get("SEQ_LEN") or 1),
        lid_threshold=values.get("EYE_DIST_THRESHOLD") if values.get("REMOVE_CLOSING_EYE") else None,
    )


def readable(load: Callable[..., T], *arguments: Any) -> T | None:
    """What a loader gives, or None when it fails: that failure is among the problems already."""
    try:
        return load(*arguments)
    except (UserError, ValueError, OSError, KeyError):
        return None


def _existing_files(dataset: Section, actor: str) -> DatasetFiles:
    paths: dict[str, Any] = {}
    for name in PATHS:
        value = getattr(dataset, name.upper()).get(actor)
        path = None if value is None else local_path(value)
        if path and not check_path(path, "", actor, folder=name.endswith("_root")):
            paths[name] = path
    return DatasetFiles(actor, *channels(dataset, actor), **paths)


def _mesh(name: str, files: DatasetFiles, shots: list[str] | None, neutral: Callable[[], np.ndarray | None]) -> Mesh:
    root, channel = getattr(files, f"{name}_cache_root"), getattr(files, f"{name}_cache_channel")
    caches = find_caches(root, "", shots, "", channel)[0] if root else {}
    counts = [cache.num_vertices for cache in caches.values()]
    usual = max(set(counts), key=counts.count) if counts else 0
    rest = readable(neutral)
    fits = rest is not None and len(rest) == usual
    return Mesh(name, {s: c for s, c in caches.items() if c.num_vertices == usual}, usual, rest if fits else None)


def _pairs(files: DatasetFiles, num_vertices: int) -> dict[str, Pairs]:
    found = {}
    for name in ("lip_dist", "lip_size", "eye_dist"):
        pairs = readable(getattr(files, f"{name}_pairs"))
        if pairs is not None and max(int(side.max()) for side in pairs) < num_vertices:
            found[name] = pairs
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep preprocessing's own warnings out of the log: the doctor tells the same, shot by shot."""
    log = getLogger("audio2face.preproc")
    before = log.disabled, log.level
    children = [getLogger(f"audio2face.preproc.{name}") for name in ("inputs", "shots", "caches")]
    states = [child.disabled for child in children]
    try:
        for child in children:
            child.disabled = True
        yield
    finally:
        log.disabled, log.level = before
        for child, state in zip(children, states, strict=True):
            child.disabled = state


def shot_names(shots: Sequence[str], most: int = 6) -> str:
    """A list of shots for a message, shortened."""
    return ", ".join(shots[:most]) + (f" and {len(shots) - most} more" if len(shots) > most else "")
