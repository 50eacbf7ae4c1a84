"""The learned implicit emotions of a regression network: one vector per training frame, kept as implicit_emo_db.npz."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio2face.formats.npy import read_npz, write_npz
from audio2face.problems import UserError

MEAN_SHOT = "mean"  # a source shot that stands for the mean of all rows


@dataclass(frozen=True)
class EmotionDB:
    """Implicit emotion vectors (N, I) float32 of one actor.

    `spans` maps shot to (start, size): its rows, in order of start. `first` maps a shot to the frame that its first row
    belongs to, when that is not frame 0 (a compacted data base).
    """

    vectors: np.ndarray
    spans: dict[str, tuple[int, int]]
    first: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise ValueError(f"implicit emotions: expected (rows, length), got {self.vectors.shape}")
        for shot, (start, size) in self.spans.items():
            if start < 0 or size < 1 or start + size > len(self.vectors):
                raise ValueError(
                    f"implicit emotions of shot {shot}: rows {start} to {start + size} of {len(self.vectors)}"
                )

    @property
    def length(self) -> int:
        """I, the number of values of one implicit emotion."""
        return self.vectors.shape[1]

    def mean(self) -> np.ndarray:
        """(I,) float32: the mean of all rows."""
        return self.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)

    def locate(self, shot: str | None, frame: int | None) -> tuple[str, int]:
        """Check a source shot and frame and return (shot, row within the shot's rows).

        Neither given means the first shot's first row; a shot alone means its first row. Raises UserError naming what
        exists when the shot or the frame does not.
        """
        if not self.spans:
            raise UserError("the training run's implicit_emo_db.npz holds no shots")
        if shot is None:
            if frame is not None:
                raise UserError(f"CONFIG source_frame is {frame} but source_shot is not given: set both or neither")
            return next(iter(self.spans)), 0
        if shot not in self.spans:
            if shot == MEAN_SHOT:
                return shot, 0
            known = list(self.spans)
            listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
            raise UserError(f"CONFIG source_shot {shot!r} is not a shot of this training run; it has {listed}")
        size, first = self.spans[shot][1], self.first.get(shot, 0)
        if frame is None:
            return shot, 0
        if not first <= frame < first + size:
            raise UserError(f"CONFIG source_frame {frame}: shot {shot} has frames {first} to {first + size - 1}")
        return shot, int(frame) - first

    def row(self, shot: str | None, frame: int | None) -> np.ndarray:
        """(I,) float32: the implicit emotion of a frame of a shot, or the mean row for the shot name "mean"."""
        name, index = self.locate(shot, frame)
        if name not in self.spans:
            return self.mean()
        return self.vectors[self.spans[name][0] + index].copy()

    def with_mean(self) -> EmotionDB:
        """The same data base with one more row, the mean, under the shot name "mean"."""
        if MEAN_SHOT in self.spans:
            return self
        vectors = np.concatenate([self.vectors, self.mean()[None]])
        return EmotionDB(vectors, {**self.spans, MEAN_SHOT: (len(self.vectors), 1)}, self.first)


def actor_databases(vectors: np.ndarray, spans: list[tuple[str, str, int, int]]) -> dict[str, EmotionDB]:
    """Split the table of a whole training (N, I) into one data base per actor.

    `spans` lists (actor, shot, start, size) for every shot, muted ones included. Raises ValueError when an actor has
    two shots of one name.
    """
    databases: dict[str, EmotionDB] = {}
    for actor in dict.fromkeys(span[0] for span in spans):
        own = sorted((start, size, shot) for name, shot, start, size in spans if name == actor)
        names = [shot for _, _, shot in own]
        repeated = sorted({shot for shot in names if names.count(shot) > 1})
        if repeated:
            raise ValueError(f"actor {actor}: implicit emotions given twice for shot {', '.join(repeated)}")
        blocks, packed, position = [], {}, 0
        for start, size, shot in own:
            blocks.append(vectors[start : start + size])
            packed[shot] = (position, size)
            position += size
        rows = np.concatenate(blocks) if blocks else np.zeros((0, vectors.shape[1]))
        databases[actor] = EmotionDB(np.ascontiguousarray(rows, dtype=np.float32), packed)
    return databases


def compact(database: EmotionDB, used: dict[str, list[tuple[int, int]]]) -> EmotionDB:
    """Keep of every shot only the rows from its first to its last trained frame.

    `used` maps shot to the (first, last) frames of its clips, both included; shots without any are dropped. Frames keep
    their numbers for `row` and `locate`.
    """
    blocks, spans, first, position = [], {}, {}, 0
    for shot, (start, size) in database.spans.items():
        if not used.get(shot):
            continue
        low = max(min(a for a, _ in used[shot]), 0)
        high = min(max(b for _, b in used[shot]), size - 1)
        if high < low:
            continue
        blocks.append(database.vectors[start + low : start + high + 1])
        spans[shot] = (position, high - low + 1)
        position += high - low + 1
        if low + database.first.get(shot, 0):
            first[shot] = low + database.first.get(shot, 0)
    if not blocks:
        raise ValueError("no shot of the implicit emotion data base is used by any clip")
    return EmotionDB(np.concatenate(blocks), spans, first)


def write_emotion_db(path: str | os.PathLike[str], database: EmotionDB) -> None:
    """Write implicit_emo_db.npz as the runtime reads it: float32, int32, UTF-8 byte strings, uncompressed.

    Raises ValueError naming the file when a value is not finite.
    """
    if not np.isfinite(database.vectors).all():
        raise ValueError(f"{path}: implicit emotions are not finite")
    spans = sorted(database.spans.items(), key=lambda item: item[1][0])
    arrays = {
        "emo_db": np.ascontiguousarray(database.vectors, dtype="<f4"),
        "emo_spec_names": np.array([shot.encode("utf-8") for shot, _ in spans], dtype="S"),
        "emo_spec_start": np.array([start for _, (start, _) in spans], dtype="<i4"),
        "emo_spec_size": np.array([size for _, (_, size) in spans], dtype="<i4"),
    }
    if database.first:
        arrays["emo_spec_first"] = np.array([database.first.get(shot, 0) for shot, _ in spans], dtype="<i4")
    write_npz(path, arrays)


def read_emotion_db(path: str | os.PathLike[str]) -> EmotionDB:
    """Read implicit_emo_db.npz. Raises ValueError naming the file and the array that is missing or inconsistent."""
    path = Path(path)
    try:
        arrays = read_npz(path)
    except OSError as error:
        raise ValueError(f"{path}: not a readable npz file ({error})") from error
    missing = [n for n in ("emo_db", "emo_spec_names", "emo_spec_start", "emo_spec_size") if n not in arrays]
    if missing:
        raise ValueError(f"{path}: array {', '.join(missing)} is missing")
    kinds = {"names": "S", "start": "iu", "size": "iu", "first": "iu"}
    specs = {name: array for name in kinds if (array := arrays.get(f"emo_spec_{name}")) is not None}
    if odd := [name for name, array in specs.items() if array.ndim != 1 or array.dtype.kind not in kinds[name]]:
        raise ValueError(f"{path}: emo_spec_{odd[0]}: found {specs[odd[0]].shape} of {specs[odd[0]].dtype}")
    if len(set(map(len, specs.values()))) > 1:
        lengths = ", ".join(f"{len(array)} of {name}" for name, array in specs.items())
        raise ValueError(f"{path}: shots differ in number: {lengths}")
    starts, sizes = specs["start"].tolist(), specs["size"].tolist()
    firsts = specs["first"].tolist() if "first" in specs else [0] * len(starts)
    try:
        names = [name.decode("utf-8") for name in specs["names"].tolist()]
        return EmotionDB(
            arrays["emo_db"].astype(np.float32),
            dict(zip(names, zip(starts, sizes, strict=True), strict=True)),
            {name: frame for name, frame in zip(names, firsts, strict=True) if frame},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
