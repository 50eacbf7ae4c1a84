"""Films of animations: a face, or a built-in head and a figure for curves; two people who talk side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.face.skeleton import bones, pose_from_values, positions
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
    pictures = [_face(clip) if clip.face.has_mesh else _head(clip) for clip in clips]
    write_video(path, side_by_side(*pictures, titles=titles), fps, sound)


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
    """The weights and the turn of the built-in head, and the first skeleton."""
    from audio2face.render.curves_film import Take

    weights, joints, lines = clip.arkit, None, None
    for _, skeleton, values in clip.bodies[:1]:
        joints, lines = positions(skeleton, *pose_from_values(skeleton, values)), bones(skeleton)
    table = np.stack(list(weights.values()), axis=1) if weights else None
    return Take(title, table, tuple(weights), clip.head, joints=joints, bones=lines)
