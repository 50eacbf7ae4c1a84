"""One actor's captured data as it was found: what preprocessing computes with and what the checks look at.

Made once, by `dataset.checks.build_captured` from the files, or by `build_trained` from a preprocessing run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.shots import shot_language
from audio2face.face.curves import CurveGroup
from audio2face.face.topology import Topology
from audio2face.formats.sound import SoundInfo, sound_info, sounds_info
from audio2face.problems import Problems, UserError
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Cache, Pairs, Shot

if TYPE_CHECKING:
    from audio2face.config import Section

BAD_FILE = (OSError, ValueError)
T = TypeVar("T")


@dataclass(frozen=True)
class RestData:
    """What the data set holds besides motion; None where it has none. Shapes as in `DatasetFiles`."""

    skin_neutral: np.ndarray | None = None
    tongue_neutral: np.ndarray | None = None
    lip_open_delta: np.ndarray | None = None
    eye_close_delta: np.ndarray | None = None
    jaw_neutral: np.ndarray | None = None
    blink_keys: np.ndarray | None = None
    saccades: np.ndarray | None = None


@dataclass(frozen=True)
class Mesh:
    """Skin or tongue: its caches, and the pose at rest (V, 3) when it is given and fits them."""

    name: str
    caches: dict[str, Cache]
    neutral: np.ndarray | None


@dataclass(frozen=True)
class ShotCurves:
    """A group in one shot at the shot's rate: encoded values (T, E) float32 and which are known (T, E)."""

    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class CapturedGroup:
    """One group of an actor: what its columns are, and its values by shot; shots without it are left out."""

    group: CurveGroup
    shots: dict[str, ShotCurves] = field(default_factory=dict)


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
class VoiceFile:
    """A sound of a shot, by its header; `voice` is None for the actor's own."""

    shot: Shot
    voice: str | None
    path: Path
    info: SoundInfo


@dataclass(frozen=True)
class CapturedActor:
    """One actor's data as far as it can be read. Meshes have the number of vertices that most of their caches have.

    `skin` are the caches to express, `choosing` those to choose poses from, perhaps coarser ones. `pairs` are the vertex
    lists (upper, lower) that are in range, by lip_dist, lip_size, eye_dist; `jaw` and `eye` the motion by shot; `curves` the groups by name; `mapped` the
    shots of SHOT_EMOTION_MAP. None and empty: not given or not readable.
    """

    files: DatasetFiles
    fps: float
    shots: list[Shot]
    skin: dict[str, Cache] = field(default_factory=dict)
    choosing: dict[str, Cache] = field(default_factory=dict)
    tongue: dict[str, Cache] = field(default_factory=dict)
    prune_vertices: np.ndarray | None = None
    rigid_vertices: np.ndarray | None = None
    skin_neutral: np.ndarray | None = None
    tongue_neutral: np.ndarray | None = None
    rest: RestData = field(default_factory=RestData)
    blendshapes: dict[str, tuple[dict[str, np.ndarray], Any]] = field(default_factory=dict)
    topology: Topology = field(default_factory=Topology)
    pairs: dict[str, Pairs] = field(default_factory=dict)
    jaw: dict[str, np.ndarray] = field(default_factory=dict)
    eye: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, CapturedGroup] = field(default_factory=dict)
    sounds: list[VoiceFile] = field(default_factory=list)
    languages: dict[str, str] = field(default_factory=dict)
    emotions: list[str] = field(default_factory=list)
    mapped: frozenset[str] = frozenset()
    units_per_metre: float = 100.0
    prune_distance: float = 0.0
    plan: TrainingPlan | None = None

    @property
    def actor(self) -> str:
        return self.files.actor

    @property
    def skin_mesh(self) -> Mesh:
        """The skin as a mesh."""
        return Mesh("skin", self.skin, self.skin_neutral)

    @property
    def tongue_mesh(self) -> Mesh:
        """The tongue as a mesh."""
        return Mesh("tongue", self.tongue, self.tongue_neutral)

    @property
    def num_vertices(self) -> int:
        """Vertices of the skin."""
        return next(cache.num_vertices for cache in self.skin.values())

    @property
    def unit_mm(self) -> float:
        """Millimetres in one unit of the meshes."""
        return 1000 / self.units_per_metre


def build_trained(dataset: Section, train: Section, run: PreprocRun, files: DatasetFiles) -> CapturedActor:
    """What training reads of an actor: shots of its preprocessing run, sounds and motion of now, no caches."""
    return CapturedActor(
        files=files,
        fps=run.shots[0].fps if run.shots else 30.0,
        shots=list(run.shots),
        skin_neutral=readable(files.skin_neutral),
        rest=RestData(jaw_neutral=readable(files.jaw_neutral)),
        jaw=_motion(run.shots, files.has_jaw, files.jaw_animation),
        eye=_motion(run.shots, files.has_eye, files.eye_animation),
        sounds=[*read_sounds(Problems(), files, run.shots)],
        languages={shot.name: shot_language(dataset.SHOT_LANGUAGE_MAP, run.actor, shot.name) for shot in run.shots},
        emotions=[*dataset.SHOT_EMOTION_NAMES],
        mapped=frozenset(shot for name, shot, _ in dataset.SHOT_EMOTION_MAP if name == run.actor),
        units_per_metre=float(dataset.UNITS_PER_METRE),
        plan=build_plan(train, run.actor),
    )


def read_sounds(problems: Problems, files: DatasetFiles, shots: Iterable[Shot]) -> Iterator[VoiceFile]:
    """The sounds of the shots, and of other voices that speak them, by their headers."""
    voices = [(voice, shot) for voice in (None, *files.voices()) for shot in shots]
    found = [(shot, voice, path) for voice, shot in voices if (path := files.audio_file(shot.name, voice)) is not None]
    infos = sounds_info(path for _, _, path in found)
    for shot, voice, path in found:
        where = {"shot": shot.name, "file": path, "key": "AUDIO_ROOT"}
        info = infos.get(path) or problems.attempt(sound_info, path, also=BAD_FILE, **where)
        if info is not None:
            yield VoiceFile(shot, voice, path, info)


def build_plan(train: Section, actor: str) -> TrainingPlan:
    """What config_train asks of an actor's data."""
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


def _motion(
    shots: Iterable[Shot], has: Callable[[str], bool], load: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    found = {shot.name: readable(load, shot.name) for shot in shots if readable(has, shot.name)}
    return {name: motion for name, motion in found.items() if motion is not None}


def listed_vertices(pairs: Mapping[str, Pairs]) -> np.ndarray:
    """Every vertex that a skin list names, in order and once: (n,)."""
    named = [side for pair in pairs.values() for side in pair]
    return np.unique(np.concatenate(named)) if named else np.empty(0, np.int64)
