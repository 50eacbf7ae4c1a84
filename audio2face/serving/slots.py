"""Places for streams: at most so many run at once, whichever way they come."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future


class Slots:
    """`count` places, for all threads and event loops together. Those that wait get one in the order in which they came."""

    def __init__(self, count: int):
        self._count = self._free = count
        self._waiting, self._ends, self._lock = deque[Future[None]](), list[Future[None]](), threading.Lock()

    def take(self) -> Future[None]:
        """A place, as a future that is done when it can be used. Hand it to `leave` in any case, used or not."""
        place: Future[None] = Future()
        place.set_running_or_notify_cancel()  # it cannot be cancelled, so that `leave` knows what it was
        with self._lock:
            if self._free:
                self._free -= 1
                place.set_result(None)
            else:
                self._waiting.append(place)
        return place

    def leave(self, place: Future[None]) -> None:
        """Give a place up, or no longer wait for it."""
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
            elif self._waiting:
                self._waiting.popleft().set_result(None)
            else:
                self._free += 1
            self._tell()

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self._count - self._free

    def empty(self) -> Future[None]:
        """A future that is done as soon as none is in use."""
        end: Future[None] = Future()
        end.set_running_or_notify_cancel()
        with self._lock:
            self._ends.append(end)
            self._tell()
        return end

    def _tell(self) -> None:
        while self._free == self._count and self._ends:
            self._ends.pop().set_result(None)
