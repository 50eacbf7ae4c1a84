"""Skeletons as figures: bones as long as they are, y up, the whole motion in the picture; and films of curves."""

from dataclasses import replace

import numpy as np
import pytest

from audio2face.render.curves_film import Take, curves_film, draw_takes
from audio2face.render.figure import figure_camera, figure_frames, up_axis, upright
from audio2face.render.raster import render_animation

# hips, chest, head, two hands, two feet
REST = np.array([[0, 1, 0], [0, 1.4, 0], [0, 1.7, 0.05], [0.7, 1.4, 0], [-0.7, 1.4, 0], [0.1, 0, 0.1], [-0.1, 0, 0.1]])
BONES = np.array([[0, 1], [1, 2], [1, 3], [1, 4], [0, 5], [0, 6]])


def walk(count=6):
    """Steps of 0.5 to the front, with a swaying head."""
    joints = np.repeat(REST[None], count, axis=0)
    joints[:, :, 2] += 0.5 * np.arange(count)[:, None]
    joints[:, 2, 0] += 0.1 * np.sin(np.arange(count))
    return joints.astype(np.float32)


def test_bones_are_as_long_as_they_are():
    joints = walk()
    (tubes, _), (moving, _) = figure_frames(joints, BONES)
    for t in (0, 5):
        ends = moving[t].reshape(len(BONES), -1, 8, 3)[:, [0, -1]].mean(axis=2)
        np.testing.assert_allclose(ends, joints[t][BONES], atol=1e-6)
    assert tubes.triangles.max() + 1 == len(moving[0])


def test_tubes_are_closed_and_seen_from_outside():
    (tubes, _), (moving, _) = figure_frames(walk(1), BONES)
    a, b, c = (moving[0][tubes.triangles[:, k]] for k in range(3))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6
    lengths = np.linalg.norm(REST[BONES[:, 1]] - REST[BONES[:, 0]], axis=1)
    assert 0 < volume < (np.pi * 0.04**2 * lengths).sum()


def test_the_axis_that_is_up():
    lying = REST[:, [0, 2, 1]] * [1, -1, 1]  # z up, facing -y
    assert up_axis(REST) == "y" and up_axis(lying) == "z"
    np.testing.assert_allclose(upright(lying[None]), REST[None])
    np.testing.assert_array_equal(upright(REST[None]), REST[None])


def test_the_camera_holds_the_whole_motion():
    joints = walk(20)
    camera = figure_camera([joints, joints - [3, 0, 0]], (200, 100))
    x, y, inverse = camera.project(np.concatenate([joints, joints - [3, 0, 0]]).reshape(-1, 3)).T
    assert (inverse > 0).all() and x.min() >= 0 and x.max() <= 200 and y.min() >= 0 and y.max() <= 100
    assert np.ptp(x) > 80 or np.ptp(y) > 40  # and does not waste the picture


def test_gaps_in_a_motion_are_left_out_of_the_picture():
    joints = walk(3)
    joints[1] = np.nan
    meshes, frames = figure_frames(joints, BONES)
    camera = figure_camera([joints], (64, 64))
    pictures = list(render_animation(meshes, frames, camera=camera, backend="numpy"))
    bone = [int((p[..., 2].astype(int) - p[..., 0] > 25).sum()) for p in pictures]
    assert bone[0] > 0 and bone[2] > 0 and bone[1] == 0


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="of 7"):
        figure_frames(walk(), np.array([[0, 7]]))
    with pytest.raises(ValueError, match="no bone"):
        figure_frames(np.zeros((2, 2, 3)), np.array([[0, 1]]))
    with pytest.raises(ValueError, match="finite"):
        figure_camera([np.full((2, 2, 3), np.nan)])


def test_panels_of_a_film():
    head = Take(weights=np.zeros((3, 1)), names=["jawOpen"])
    both = Take("captured", np.zeros((3, 1)), ["jawOpen"], joints=walk(3), bones=BONES)
    shape = lambda *takes: next(draw_takes(takes, (40, 48))).shape  # noqa: E731
    assert shape(head) == (48, 40, 3)
    assert shape(head, head) == (48, 80, 3)
    pytest.importorskip("PIL")
    lying = replace(both, joints=walk(3)[..., [0, 2, 1]] * [1, -1, 1])
    np.testing.assert_array_equal(next(draw_takes([lying], (40, 48))), next(draw_takes([both], (40, 48))))
    assert shape(both, both) == (2 * (48 + 28), 80, 3)
    with pytest.raises(ValueError, match="frames"):
        next(draw_takes([head, Take(joints=walk(4), bones=BONES)]))
    with pytest.raises(ValueError, match="frames"):
        next(draw_takes([Take()]))


def test_a_film_has_its_frames_and_its_sound(tmp_path):
    av = pytest.importorskip("av")
    turns = np.repeat(np.eye(3)[None], 25, axis=0)
    sound = np.sin(np.arange(16000) * 0.1).astype(np.float32)
    count = curves_film(
        tmp_path / "a.mp4", [Take(rotation=turns, joints=walk(25), bones=BONES)], 50.0, (sound, 16000), (32, 32)
    )
    with av.open(str(tmp_path / "a.mp4")) as film:
        pictures = [f.to_ndarray(format="rgb24").shape for f in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 25.0
        assert abs(float(film.streams.audio[0].duration * film.streams.audio[0].time_base) - 13 / 25) < 0.07
    assert count == len(pictures) == 13 and pictures[0] == (32, 64, 3)
