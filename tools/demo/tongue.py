"""The tongue: a closed mesh in the mouth, and 16 shapes that move it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.demo.topology import ease

ROWS, AROUND = 19, 20
TONGUE_POSES = (
    "tongueTipUp", "tongueTipDown", "tongueTipLeft", "tongueTipRight", "tongueRollUp", "tongueRollDown",
    "tongueRollLeft", "tongueRollRight", "tongueUp", "tongueDown", "tongueLeft", "tongueRight", "tongueIn",
    "tongueStretch", "tongueWide", "tongueNarrow",
)  # fmt: skip


@dataclass(frozen=True)
class Tongue:
    """neutral (Vt, 3) cm, triangles (Ft, 3), shapes {name: (Vt, 3)}, rigid: vertices of the root that never bend."""

    neutral: np.ndarray
    triangles: np.ndarray
    shapes: dict[str, np.ndarray]
    rigid: np.ndarray


def build_tongue() -> Tongue:
    """A tongue of 382 vertices at rest behind the lower teeth."""
    along = np.linspace(0.0, 1.0, ROWS)  # root … tip
    middle = np.stack([0 * along, _curve(along, [-9.4, -8.0, -7.2, -7.15, -7.3]),
                       _curve(along, [1.0, 2.2, 4.2, 6.3, 7.75])], axis=1)  # fmt: skip
    wide = _curve(along, [1.3, 1.9, 2.15, 1.85, 0.75])
    thick = _curve(along, [1.3, 1.25, 0.95, 0.62, 0.22])
    step = np.gradient(middle, axis=0)
    step /= np.sqrt((step**2).sum(axis=1, keepdims=True))
    up = np.stack([0 * along, step[:, 2], -step[:, 1]], axis=1)
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    c, s = np.cos(angle), np.sin(angle)
    across = np.sign(c) * np.abs(c) ** 0.85
    body = middle[:, None] + (wide[:, None] * across)[..., None] * [1.0, 0.0, 0.0]
    body = body + (thick[:, None] * s)[..., None] * up[:, None]
    groove = 0.14 * np.exp(-((across / 0.25) ** 2)) * (s > 0) * ease(along, 0.0, 0.3)[:, None]
    body[..., 1] -= groove * (1 - ease(along, 0.85, 1.0))[:, None]
    ends = np.stack([middle[0] - 0.3 * step[0], middle[-1] + 0.22 * step[-1]])
    neutral = np.concatenate([body.reshape(-1, 3), ends])
    along = np.concatenate([np.repeat(along, AROUND), [0.0, 1.0]])
    side = np.concatenate([np.tile(across, ROWS), [0.0, 0.0]])
    return Tongue(neutral, _triangles(), _shapes(along, side, neutral), np.flatnonzero(along < 0.12))


def _curve(t: np.ndarray, values: list[float]) -> np.ndarray:
    """Smooth curve (cubic Hermite) through values at even steps of t in 0..1."""
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(np.linspace(0, 1, len(values)), values)(t)


def _triangles() -> np.ndarray:
    ring = np.arange(ROWS * AROUND).reshape(ROWS, AROUND)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = ring[:-1], after[:-1], after[1:], ring[1:]
    walls = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    root, tip = ROWS * AROUND, ROWS * AROUND + 1
    caps = [np.stack([after[0], ring[0], np.full(AROUND, root)], 1)]
    caps.append(np.stack([ring[-1], after[-1], np.full(AROUND, tip)], 1))
    return np.concatenate([walls, *caps])


def _shapes(along: np.ndarray, side: np.ndarray, neutral: np.ndarray) -> dict[str, np.ndarray]:
    free, tip = ease(along, 0.15, 0.6), ease(along, 0.55, 1.0) ** 1.3
    body = free * np.exp(-(((along - 0.58) / 0.26) ** 2))
    x = neutral[:, 0]

    def move(dx: object = 0.0, dy: object = 0.0, dz: object = 0.0) -> np.ndarray:
        return np.stack([0 * along + dx, 0 * along + dy, 0 * along + dz], axis=1)

    return {
        "tongueTipUp": move(dy=1.25 * tip + 0.15 * body, dz=-0.30 * tip),
        "tongueTipDown": move(dy=-0.7 * tip, dz=-0.15 * tip),
        "tongueTipLeft": move(dx=1.0 * tip, dz=-0.15 * tip),
        "tongueTipRight": move(dx=-1.0 * tip, dz=-0.15 * tip),
        "tongueRollUp": move(-0.18 * x * free, 0.65 * free * side**2),
        "tongueRollDown": move(-0.10 * x * free, -0.55 * free * side**2),
        "tongueRollLeft": move(dy=0.55 * free * side),
        "tongueRollRight": move(dy=-0.55 * free * side),
        "tongueUp": move(dy=1.0 * body + 0.35 * free),
        "tongueDown": move(dy=-0.7 * body - 0.3 * free),
        "tongueLeft": move(dx=0.9 * free),
        "tongueRight": move(dx=-0.9 * free),
        "tongueIn": move(dy=0.15 * body, dz=-1.1 * free),
        "tongueStretch": move(dy=0.10 * free, dz=1.5 * free),
        "tongueWide": move(dx=0.22 * x * free),
        "tongueNarrow": move(dx=-0.25 * x * free),
    }
