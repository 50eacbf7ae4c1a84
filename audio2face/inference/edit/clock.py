"""The frames of a file among those of a network that runs at another rate. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audio2face.face.frames import interpolate
from audio2face.inference.edit.request import Edit
from audio2face.inference.rate import frames_at, middles

SAME = 1e-3  # rates that differ by less are one


@dataclass(frozen=True)
class Clock:
    """A file of `count` frames, `file_fps` a second, and a network with `network_fps`; frames stand in the middle of their
    intervals."""

    count: int
    file_fps: float
    network_fps: float

    @property
    def same(self) -> bool:
        """Whether frames of the file are frames of the network."""
        return abs(self.file_fps / self.network_fps - 1) < SAME

    @property
    def places(self) -> np.ndarray:
        """Where the network's frames lie among the file's (n,)."""
        if self.same:
            return np.arange(self.count, dtype=np.float64)
        count = frames_at(self.count, self.file_fps, self.network_fps)
        return np.clip(middles(count, self.file_fps, self.network_fps), 0, self.count - 1)

    def edit(self, edit: Edit) -> Edit:
        """The same edit of the network's frames: those beside a file's frame that is new are new; keys go to the nearest."""
        if self.same:
            return edit
        low, high = np.floor(self.places).astype(int), np.ceil(self.places).astype(int)
        free = edit.free[low] | edit.free[high]
        keys = [self.nearest(frame) for frame in edit.keys]
        free[keys] = True
        return replace(edit, free=free, keys={key: key for key in keys})

    def nearest(self, frame: int) -> int:
        """The network's frame that is nearest to one of the file's."""
        return int(np.argmin(np.abs(self.places - frame)))

    def to_network(self, values: np.ndarray, edit: Edit) -> np.ndarray:
        """The file's values (T, c) at the network's frames; where a key of an edit of the file goes, its own."""
        if self.same:
            return values
        found = interpolate(values, self.places)
        for frame in edit.keys:
            found[self.nearest(frame)] = values[frame]
        return found

    def file_frames(self, low: int, high: int) -> slice:
        """The file's frames that lie between the network's frames `low` and `high` - 1."""
        if self.same:
            return slice(low, high)
        places = self.places
        first = 0 if low == 0 else int(np.ceil(places[low]))
        return slice(first, self.count if high == len(places) else int(np.floor(places[high - 1])) + 1)

    def to_file(self, values: np.ndarray, low: int, frames: slice) -> np.ndarray:
        """The network's values (n, c) from its frame `low` on, at frames of the file."""
        if self.same:
            return values
        at = middles(self.count, self.network_fps, self.file_fps)[frames] - low
        return interpolate(values, np.clip(at, 0, len(values) - 1))
