"""What is drawn behind the openings of a skin, on a mask with two eyes and a mouth cut out of a grid."""

import numpy as np
import pytest

from audio2face.render import Mesh, auto_camera, fill_openings, render, render_animation
from audio2face.render.openings import boundary_loops

EYES, MOUTH = ((-4.0, 3.0), (4.0, 3.0)), (0.0, -4.0)


def mask():
    """A bulging square skin (V, 3), its triangles counter-clockwise from the front, with three openings."""
    x, y = np.meshgrid(np.linspace(-10, 10, 41), np.linspace(-10, 10, 41))
    v = np.stack([x, y, -0.02 * (x**2 + y**2)], axis=-1).reshape(-1, 3)
    g = np.arange(len(v)).reshape(41, 41)
    a, b, c, d = (q.ravel() for q in (g[:-1, :-1], g[:-1, 1:], g[1:, 1:], g[1:, :-1]))
    middle = v[a] + [0.25, 0.25, 0]
    hole = np.hypot(*((middle - [*MOUTH, 0])[:, :2] / [2.6, 1.2]).T) < 1
    for eye in EYES:
        hole |= np.hypot(*((middle - [*eye, 0])[:, :2] / [1.8, 0.9]).T) < 1
    triangles = np.concatenate([np.stack(f, -1)[~hole] for f in ((a, b, c), (a, c, d))])
    return v, triangles


def test_loops_of_a_mask():
    v, triangles = mask()
    loops = boundary_loops(triangles)
    assert len(loops) == 4 and max(map(len, loops)) == 160
    middles = sorted(tuple(v[loop][:, :2].mean(axis=0).round(1)) for loop in loops if len(loop) < 160)
    assert np.allclose(middles, [EYES[0], MOUTH, EYES[1]], atol=0.3)


def test_no_background_shows_and_the_eyes_are_found():
    v, triangles = mask()
    filling = fill_openings(triangles, v[None])
    assert len(filling.loops) == 3 and len(filling.eyes) == 2 and len(filling.meshes) == 3
    (right, radius), (left, _) = filling.eyes
    assert right[0] == pytest.approx(-4, abs=0.3) and left[0] == pytest.approx(4, abs=0.3) and 1.4 < radius < 2.2
    camera = auto_camera(v, (120, 120))
    green = (0.0, 1.0, 0.0)
    skin = Mesh(triangles, np.array([0.8, 0.6, 0.5]))
    inner = np.s_[20:100, 20:100]
    assert (render([skin], [v], camera, green)[inner][..., 0] == 0).sum() > 100
    picture = render([skin, *filling.meshes], [v, *filling.at(v)], camera, green)[inner].astype(int)
    assert not (picture[..., 1] > picture[..., 0] + 30).any()
    x, y, _ = camera.project(np.array([[*MOUTH, 0.0]]))[0].astype(int) - 20
    assert picture[y, x].max() < 110  # dark
    x, y, _ = camera.project(np.array([[2.9, 3.0, 0.0]]))[0].astype(int) - 20
    assert picture[y, x].min() > 150  # the white of the eye


def test_lids_are_never_cut_and_eyes_follow_the_gaze():
    v, triangles = mask()
    shut = v.copy()
    shut[:, 2] -= 0.5
    filling = fill_openings(triangles, np.stack([v, shut]))
    for centre, radius in filling.eyes:
        away = np.hypot(*(shut[:, :2] - centre[:2]).T)
        over = np.isin(np.arange(len(v)), triangles) & (away < 0.85 * radius)
        assert (shut[over, 2] > centre[2] + np.sqrt(radius**2 - away[over] ** 2)).all()
    down = filling.at(v, np.array([[20.0, 0, 0], [0, 20.0, 0]]))
    pupils = [ball[0] - centre for ball, (centre, _) in zip(down[1:], filling.eyes, strict=True)]
    assert pupils[0][1] < -0.3 and abs(pupils[0][0]) < 1e-9 and pupils[1][0] > 0.3
    moving = filling.follow(np.stack([v, shut]))
    drawn = list(render_animation(list(filling.meshes), moving, (40, 40)))
    assert len(drawn) == 2 and len(moving[0]) == 2
    np.testing.assert_array_equal(moving[0][1], filling.at(shut)[0])


def test_nothing_is_filled_without_openings_or_where_something_is():
    v, triangles = mask()
    plain = np.array([[0, 1, 42], [0, 42, 41]])
    assert fill_openings(plain, v[None]).meshes == () and fill_openings(plain, v[None]).at(v) == []
    middle = np.array([[4.0, 3.0, -1.0], [4.5, 3.0, -1.0], [4.0, 3.5, -1.0]])
    filled = fill_openings(np.concatenate([triangles, [[1681, 1682, 1683]]]), np.concatenate([v, middle])[None])
    assert len(filled.loops) == 2 and not filled.eyes
