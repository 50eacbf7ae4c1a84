"""Films of animations: a face, or a built-in head and a figure for curves; two people who talk side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.inference.clip import Clip, Sound

if TYPE_CHECKING:
    from audio2face.render.curves_film import Take

PICTURE_SIZE = (512, 512)
COLOURS = {"skin": (0.84, 0.68, 0.59), "tongue": (0.64, 0.30, 0.30)}  # sRGB


def film(path: Path, clip: Clip) -> None:
    """One animation, with its sound."""
    film_together(path, [clip], None, clip.sound)


def film_together(path: Path, clips: Sequence[Clip], titles: Sequence[str] | None, sound: Sound | None) -> None:
    """Animations of the same frames side by side, each under its title; meshes as they are, curves on the built-in head."""
    from audio2face.render import write_video
    from audio2face.render.curves_film import curves_film
    from audio2face.render.video import side_by_side

    fps = clips[0].animation.fps
    names: Sequence[str | None] = titles or [None] * len(clips)
    if not any(clip.face.has_mesh for clip in clips):
        takes = [_take(clip, name) for clip, name in zip(clips, names, strict=True)]
        curves_film(path, takes, fps, sound, PICTURE_SIZE)
        return
    panels = [
        panel for clip, name in zip(clips, titles or [""] * len(clips), strict=True) for panel in _panels(clip, name)
    ]
    named = [name for name, _ in panels] if titles else None
    write_video(path, side_by_side(*(pictures for _, pictures in panels), titles=named), fps, sound)


def _panels(clip: Clip, title: str) -> list[tuple[str, Iterator[np.ndarray]]]:
    """The face, with its title, and the body beside it."""
    if not clip.face.has_mesh:
        return [(title, _head(clip))]
    body = _body_alone(clip)
    return [(title, _face(clip)), *([("", body)] if body else [])]


def _body_alone(clip: Clip) -> Iterator[np.ndarray] | None:
    """Pictures of the first skeleton, or of the mesh that it moves; None without one."""
    from audio2face.render.curves_film import Take, draw_takes

    take = _take(clip)
    shown = Take(joints=take.joints, bones=take.bones, body=take.body, turns=take.turns)
    return draw_takes([shown], PICTURE_SIZE) if shown.has_figure else None


def _face(clip: Clip) -> Iterator[np.ndarray]:
    """Pictures of the meshes, with eyes and teeth behind their openings."""
    from audio2face.render import Mesh, auto_camera, fill_openings, render_animation

    meshes = clip.meshes()
    drawn = [Mesh(triangles, np.array(COLOURS[name])) for name, _, triangles in meshes]
    moving: list[Any] = [frames for _, frames, _ in meshes]
    camera = auto_camera(np.concatenate([frames[0] for frames in moving]), PICTURE_SIZE)
    eyes = clip.eyes
    for name, frames, triangles in meshes:
        if name == "skin" and eyes is not None:
            filling = fill_openings(triangles, frames)
            drawn += filling.meshes
            moving += filling.follow(frames, eyes.reshape(len(frames), 2, 3))
    return render_animation(drawn, moving, camera=camera)


def _head(clip: Clip) -> Iterator[np.ndarray]:
    from audio2face.render.curves_film import draw_takes

    return draw_takes([_take(clip)], PICTURE_SIZE)


def _take(clip: Clip, title: str | None = None) -> Take:
    """The weights and the turn of the built-in head, and the first skeleton, or the mesh that it moves."""
    from audio2face.render.curves_film import Take, figure_parts

    weights, parts = clip.arkit, {}
    for _, skeleton, values in clip.bodies[:1]:
        parts = figure_parts(skeleton, values, clip.face.topology.body)
    table = np.stack(list(weights.values()), axis=1) if weights else None
    return Take(title, table, tuple(weights), clip.head, **parts)
