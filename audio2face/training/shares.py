"""The part of a batch that one of several processes works on, and random numbers that do not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The items first, first + step, … of a batch of `total` items.

    A process for which no item is left takes the first as a stand-in that does not count.
    """

    total: int
    first: int = 0
    step: int = 1
    counts: bool = True

    @property
    def size(self) -> int:
        """Items of this share."""
        return len(range(self.first, self.total, self.step))

    def of(self, items: Any) -> Any:
        """This share of a list, array or tensor with one entry per item of the whole batch."""
        return items[self.first :: self.step]


def share_of(total: int, rank: int, count: int) -> Share:
    """What process `rank` of `count` has of a batch of `total` items."""
    return Share(total, rank, count) if rank < total else Share(total, 0, total, counts=False)


_drawing_for: Share | None = None


@contextmanager
def drawing_for(share: Share) -> Iterator[None]:
    """Within the block `draw_rows` draws for the whole batch that `share` is a part of."""
    global _drawing_for
    before, _drawing_for = _drawing_for, share
    try:
        yield
    finally:
        _drawing_for = before


def draw_rows(draw: Callable[[int], Tensor], num_rows: int) -> Tensor:
    """Random numbers (num_rows, …) from `draw(n)`, which gives (n, …); an item has one row or several neighbouring ones.

    Every process draws those of the whole batch and takes its own: however many there are, an item meets the same numbers.
    """
    share = _drawing_for
    if share is None or share.step == 1 or num_rows % share.size:
        return draw(num_rows)
    per_item = num_rows // share.size
    return share.of(draw(share.total * per_item).unflatten(0, (share.total, per_item))).flatten(0, 1)
