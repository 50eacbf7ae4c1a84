"""Places for streams: at most so many run at once, whichever way they come."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future


class Slots:
    """`count` places, for all threads and event loops together. Those that wait get one in the order in which they came."""

    def __init__(self, count: int):
        self._free, self._waiting, self._lock = count, deque[Future[None]](), threading.Lock()

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
