"""What a server has done, in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.active = 0
        self._codes: Counter[str] = Counter()
        self._frames = self._turns = 0
        self._audio_s = self._work_s = self._first_s = self._batch = 0.0
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._real_time = float("nan")

    def began(self) -> None:
        """A stream has begun."""
        with self._lock:
            self.active += 1

    def ended(self, code: str) -> None:
        """A stream has ended, with the name of a gRPC status code."""
        with self._lock:
            self.active -= 1
            self._codes[code] += 1

    def frames(self, count: int) -> None:
        """Frames have been made."""
        with self._lock:
            self._frames += count

    def first_frame(self, seconds: float) -> None:
        """The first frame of a stream came `seconds` after its beginning."""
        with self._lock:
            self._first_s = seconds

    def turn(self, batch: int, seconds: float, audio_s: float) -> None:
        """A run of the networks for `batch` streams over `audio_s` seconds of sound."""
        with self._lock:
            self._turns += 1
            self._batch, self._work_s, self._audio_s = float(batch), self._work_s + seconds, self._audio_s + audio_s
            self._buckets[sum(seconds > limit for limit in BUCKETS_S)] += 1
            if audio_s:
                self._real_time = seconds / audio_s

    def text(self) -> str:
        """All of it, to be scraped."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _metric("streams_active", "gauge", "streams that are open", {"": self.active})
        codes = {f'{{code="{code}"}}': count for code, count in sorted(self._codes.items())}
        yield from _metric("streams_total", "counter", "streams that have ended, by gRPC status", codes)
        yield from _metric("frames_total", "counter", "frames made", {"": self._frames})
        yield from _metric("audio_seconds_total", "counter", "sound heard", {"": self._audio_s})
        counts = [sum(self._buckets[: i + 1]) for i in range(len(self._buckets))]
        limits = [*(f"{limit:g}" for limit in BUCKETS_S), "+Inf"]
        buckets = {f'_bucket{{le="{limit}"}}': count for limit, count in zip(limits, counts, strict=True)}
        totals = {"_sum": self._work_s, "_count": self._turns}
        yield from _metric("inference_seconds", "histogram", "runs of the networks", buckets | totals)
        yield from _metric("batch_size", "gauge", "streams in the last run", {"": self._batch})
        yield from _metric(
            "first_frame_seconds", "gauge", "from a stream's beginning to its first frame", {"": self._first_s}
        )
        yield from _metric(
            "real_time_factor", "gauge", "work for a second of sound in the last run", {"": self._real_time}
        )


def _metric(name: str, kind: str, what: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP audio2face_{name} {what}"
    yield f"# TYPE audio2face_{name} {kind}"
    for suffix, value in values.items():
        yield f"audio2face_{name}{suffix} {value:.10g}"
