"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class ServeOptions:
    """Limits and choices of a server; see `python -m runners.serve --help`.

    `fps` of the frames that are sent, None for the model's own. `emotion` is that of streams without any, None for the
    model's. `direct_emotions` takes keys as they are, without strengths. `poses`: "arkit", "tongue" or "all".
    """

    actor: str | None = None
    emotion: Any = None
    fps: Fraction | None = Fraction(30)
    poses: str = "arkit"
    keep: tuple[str, ...] = ()
    direct_emotions: bool = False
    tail_s: float = 0.0
    peak: float = 1.0
    quiet_status: bool = False
    streams: int = 8
    queue_s: float = 0.0
    batch: int = 8
    max_clip_s: float = 300.0
    idle_s: float = 30.0
    unread_s: float = 60.0
    grace_s: float = 10.0
    token: str | None = None
