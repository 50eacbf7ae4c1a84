"""Records that cross rooms. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]  # upper and lower vertices (n,) of a list
SAMPLE_RATE = 16000  # of all sound that a network is given


@dataclass(frozen=True)
class Shot:
    """One captured performance of one actor. `fps` is the rate of its animation cache."""

    actor: str
    name: str
    num_frames: int
    fps: float
    emotion: str


@dataclass(frozen=True)
class Cache:
    """One shot's animation of a mesh, by its header. `channel` is that to read of a file with several."""

    shot: str
    path: Path
    num_frames: int
    num_vertices: int
    fps: float | None
    channel: str | None = None


@dataclass(frozen=True)
class Track:
    """The sound of one voice: a file, and which channel of it (from 0); None: its only one, or the mean of several."""

    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Partner:
    """What the person says whom a clip's actor talks to. `offset` is in frames, as `Clip.audio_offset`."""

    track: Track
    offset: int = 0


@dataclass(frozen=True)
class Clip:
    """A range of frames of a shot, with its sound.

    `first` and `last` are frames of the shot, both included. `audio_offset` is in frames of the shot: frame i sounds
    at frame i + audio_offset of the file, of whose channels the actor's is `channel`. A muted clip has no `audio` and holds
    one still pose, `held` = (shot, frame). Of a monologue `partner` is None.
    """

    shot: Shot
    first: int
    last: int
    audio: Path | None
    audio_offset: int = 0
    speaker: str = ""
    language: str | None = None
    held: tuple[str, int] | None = None
    channel: int | None = None
    partner: Partner | None = None

    @property
    def num_frames(self) -> int:
        """Frames of the clip, both ends counted."""
        return self.last - self.first + 1

    @property
    def track(self) -> Track | None:
        """The actor's own sound; None of a muted clip."""
        return None if self.audio is None else Track(self.audio, self.channel)


@dataclass(frozen=True)
class Waveform:
    """Mono sound: samples (N,) float32 and the largest absolute value of the track (1.0 for near silence)."""

    samples: np.ndarray
    sample_rate: int
    peak: float

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Pca:
    """Principal components of a mesh: components (K, V, 3) orthonormal over 3V, mean (V, 3), variances (K,) if known."""

    components: np.ndarray
    mean: np.ndarray
    variances: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def num_components(self) -> int:
        return self.components.shape[0]


@dataclass(frozen=True)
class FaceAnimation:
    """A face over time in data units: skin (T, V, 3), tongue (T, Vt, 3), jaw (T, 5, 3) deltas, eye (T, 4) degrees."""

    fps: float
    channels: dict[str, np.ndarray]

    @property
    def num_frames(self) -> int:
        return len(next(iter(self.channels.values())))


Offset = tuple[float, float, float]
JOINT_CHANNELS = tuple(axis + kind for kind in ("position", "rotation") for axis in "XYZ")  # as a BVH names them


@dataclass(frozen=True)
class Joint:
    """A joint of a skeleton: `parent` is its place among the joints (-1 of a root), `offset` where it rests there.

    `channels` are the names of its columns as a BVH has them, in file order ("Xposition", "Zrotation", …), `end` is the
    tip of its bone (End Site), if it has one. Offsets are relative to the parent, in the unit of their file.
    """

    name: str
    parent: int
    offset: Offset
    channels: tuple[str, ...] = ()
    end: Offset | None = None


@dataclass(frozen=True)
class Skeleton:
    """Joints, parents before children, with names of their own. Raises ValueError naming the joint that breaks this."""

    joints: tuple[Joint, ...]

    def __post_init__(self) -> None:
        known: set[str] = set()
        for place, joint in enumerate(self.joints):
            if joint.name in known:
                raise ValueError(f"two joints are named {joint.name!r}")
            if not -1 <= joint.parent < place:
                raise ValueError(
                    f"joint {joint.name!r}: parent {joint.parent} is not among the {place} joints before it"
                )
            if not set(joint.channels) <= set(JOINT_CHANNELS) or len(set(joint.channels)) < len(joint.channels):
                known_channels = ", ".join(JOINT_CHANNELS)
                raise ValueError(f"joint {joint.name!r}: channels {joint.channels}: expected some of {known_channels}")
            for offset in (joint.offset, joint.end or joint.offset):
                if len(offset) != 3 or not np.isfinite(offset).all():
                    raise ValueError(f"joint {joint.name!r}: an offset is three numbers, found {offset}")
            known.add(joint.name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def parents(self) -> np.ndarray:
        """Places of the parents (J,) int64, -1 of roots."""
        return np.array([joint.parent for joint in self.joints], np.int64)

    @property
    def offsets(self) -> np.ndarray:
        """Rest positions relative to the parents (J, 3) float64."""
        return np.array([joint.offset for joint in self.joints], np.float64).reshape(-1, 3)

    @property
    def num_channels(self) -> int:
        """Columns of all joints together."""
        return sum(len(joint.channels) for joint in self.joints)

    def as_json(self) -> dict[str, Any]:
        """As JSON has it: {"joints": [{"name", "parent" (a name, null of a root), "offset", "channels", "end"}, …]}."""
        joints = [
            {
                "name": joint.name,
                "parent": self.joints[joint.parent].name if joint.parent >= 0 else None,
                "offset": list(joint.offset),
                "channels": list(joint.channels),
                "end": None if joint.end is None else list(joint.end),
            }
            for joint in self.joints
        ]
        return {"joints": joints}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Skeleton:
        """What `as_json` made. Raises ValueError naming the joint, or what is missing."""
        places: dict[str | None, int] = {None: -1}
        joints: list[Joint] = []
        try:
            for entry in data["joints"]:
                name, parent = entry["name"], entry.get("parent")
                if parent not in places:
                    raise ValueError(f"joint {name!r}: there is no joint {parent!r} before it to be its parent")
                places.setdefault(name, len(joints))
                end = entry.get("end")
                joints.append(
                    Joint(
                        str(name),
                        places[parent],
                        _offset(entry["offset"]),
                        tuple(map(str, entry.get("channels", ()))),
                        None if end is None else _offset(end),
                    )
                )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"joint {len(joints)} of a skeleton is malformed: {error!r}") from error
        return cls(tuple(joints))


def _offset(values: Any) -> Offset:
    x, y, z = map(float, values)
    return x, y, z
