"""The rasteriser against geometry that can be worked out by hand, and films that can be read back."""

import importlib

import numpy as np
import pytest

from audio2face.problems import UserError
from audio2face.render import (
    Camera,
    Mesh,
    auto_camera,
    contact_sheet,
    render,
    render_animation,
    side_by_side,
    write_video,
)
from audio2face.render.raster import vertex_normals

BLACK = (0.0, 0.0, 0.0)


def ball(n=24):
    """A unit ball: (V, 3) and triangles counter-clockwise from outside."""
    polar, around = np.meshgrid(np.linspace(1e-3, np.pi - 1e-3, n), np.linspace(0, 2 * np.pi, 2 * n), indexing="ij")
    v = np.stack([np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)], -1).reshape(-1, 3)
    g = np.arange(len(v)).reshape(n, 2 * n)
    a, b, c, d = g[:-1, :-1], g[1:, :-1], g[1:, 1:], g[:-1, 1:]
    return v, np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def square(z, colour):
    v = np.array([[-1.0, -1, z], [1, -1, z], [1, 1, z], [-1, 1, z]])
    return v, Mesh(np.array([[0, 1, 2], [0, 2, 3]]), np.array(colour), gloss=0.0)


def straight_camera(size=64):
    return Camera(np.eye(3), np.zeros(3), 10.0, 10.0 * size / 4, size, size)


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def test_projection_of_the_centre_and_an_edge():
    x, y, inverse = straight_camera().project(np.array([[0.0, 0, 0], [2.0, 0, 0], [0, 0, 20.0]])).T
    np.testing.assert_allclose((x[0], y[0], inverse[0]), (32, 32, 0.1))
    np.testing.assert_allclose(x[1], 64)
    assert inverse[2] == 0.0  # behind the camera


def test_a_square_covers_its_own_pixels(backend):
    v, mesh = square(0.0, (1.0, 1.0, 1.0))
    picture = render([mesh], [v], straight_camera(), background=BLACK, backend=backend)
    lit = picture.sum(axis=2) > 0
    assert lit[16:48, 16:48].all() and lit.sum() == 32 * 32


def test_the_nearer_square_hides_the_farther_one(backend):
    (near, red), (far, green) = square(0.5, (1, 0, 0)), square(-0.5, (0, 1, 0))
    for order in ((0, 1), (1, 0)):
        meshes, vertices = [(red, green)[i] for i in order], [(near, far)[i] for i in order]
        picture = render(meshes, vertices, straight_camera(), background=BLACK, backend=backend)
        assert picture[32, 32, 0] > 50 and picture[32, 32, 1] == 0


def test_seen_from_behind_a_surface_is_dark(backend):
    v, mesh = square(0.0, (1, 1, 1))
    front = render([mesh], [v], straight_camera(), background=BLACK, backend=backend)[32, 32]
    turned = Mesh(mesh.triangles[:, ::-1], mesh.colours, gloss=0.0)
    assert render([turned], [v], straight_camera(), background=BLACK, backend=backend)[32, 32, 0] < front[0] / 2


def test_what_lies_behind_the_camera_is_left_out(backend):
    v, mesh = square(12.0, (1, 1, 1))
    assert not render([mesh], [v], straight_camera(), background=BLACK, backend=backend).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_vertices_that_are_no_numbers_leave_a_hole(backend, value):
    v, mesh = square(0.0, (1, 1, 1))
    v[2] = value
    with np.errstate(all="ignore"):
        picture = render([mesh], [v], straight_camera(), background=BLACK, backend=backend)
    assert not picture[:16].any()
    v[2] = 1.0, 1.0, value
    with np.errstate(all="ignore"):
        render([mesh], [v], straight_camera(), background=BLACK, backend=backend)


def test_colours_that_are_no_numbers_are_black(backend):
    v, mesh = square(0.0, [[np.nan] * 3] * 4)
    with np.errstate(all="ignore"):
        picture = render([mesh], [v], straight_camera(), background=(2.0, 2.0, 2.0), backend=backend)
    assert not picture[20:40, 20:40].any() and picture[0, 0, 0] == 255


def test_both_backends_draw_the_same_picture():
    pytest.importorskip("numba")
    v, triangles = ball()
    colours = np.random.default_rng(0).uniform(0.2, 1, v.shape)
    scene = [Mesh(triangles, colours), Mesh(triangles, np.array([0.9, 0.2, 0.2]), gloss=0.6)]
    vertices = [v, 0.5 * v + [0.9, 0.3, 0.6]]
    for supersample in (1, 2):
        one, two = (
            render(scene, vertices, auto_camera(np.concatenate(vertices), (97, 80)), supersample=supersample, backend=b)
            for b in ("numpy", "numba")
        )
        assert np.abs(one.astype(int) - two).max() <= 1


def test_normals_of_a_ball_point_outwards():
    v, triangles = ball()
    assert ((vertex_normals(v, triangles) * v).sum(axis=1)[50:-50] > 0.99).all()


@pytest.mark.parametrize("yaw", [0, 40, 200])
def test_auto_camera_holds_every_vertex_and_fills_the_picture(yaw):
    v = np.random.default_rng(1).normal(size=(200, 3)) * [3, 9, 5] + [100, -50, 7]
    x, y, inverse = auto_camera(v, (300, 200), yaw=yaw, pitch=10).project(v).T
    assert (inverse > 0).all() and x.min() >= 0 and y.min() >= 0 and x.max() <= 300 and y.max() <= 200
    assert max(np.ptp(x) / 300, np.ptp(y) / 200) > 0.75


def test_animation_equals_its_frames_for_any_number_of_threads():
    v, triangles = ball(10)
    mesh, still = Mesh(triangles, np.array([0.8, 0.6, 0.5])), Mesh(triangles, np.array([0.1, 0.1, 0.9]))
    frames = np.stack([v * (1 + 0.05 * t) for t in range(7)])
    camera = auto_camera(2 * v, (60, 60))
    expected = [render([mesh, still], [f, 0.5 * v + 1], camera) for f in frames]
    for threads in (1, 3):
        drawn = list(render_animation([mesh, still], [frames, 0.5 * v + 1], camera=camera, threads=threads))
        assert len(drawn) == 7 and all((a == b).all() for a, b in zip(drawn, expected, strict=True))


def test_mistakes_are_named():
    v, mesh = square(0.0, (1, 1, 1))
    camera = straight_camera()
    with pytest.raises(ValueError, match="do not fit"):
        render([mesh], [v[:3]], camera)
    with pytest.raises(ValueError, match="nothing to draw"):
        render([], [], camera)
    with pytest.raises(ValueError, match="different lengths"):
        next(render_animation([mesh, mesh], [np.stack([v] * 2), np.stack([v] * 3)], camera=camera))
    with pytest.raises(ValueError, match="backend"):
        render([mesh], [v], camera, backend="gpu")


def test_side_by_side_with_titles_and_contact_sheet(tmp_path):
    image = pytest.importorskip("PIL.Image")
    left, right = (np.full((40, 50, 3), level, np.uint8) for level in (10, 200))
    (row,) = side_by_side([left], [right], titles=["truth", "prediction"])
    assert row.shape == (68, 100, 3) and (row[28:, :50] == 10).all() and (row[28:, 50:] == 200).all()
    contact_sheet(tmp_path / "sheet.png", [left, right, left], columns=2, labels=["a", "b", "c"])
    assert image.open(tmp_path / "sheet.png").size == (100, 136)
    with pytest.raises(ValueError, match="different heights"):
        list(side_by_side([left], [right[:20]]))


def test_video_has_every_frame_and_the_sound(tmp_path):
    av = pytest.importorskip("av")
    frames = [np.full((33, 47, 3), 5 * t, np.uint8) for t in range(30)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32)
    assert write_video(tmp_path / "film.mp4", iter(frames), 30, (tone, 16_000)) == 30
    with av.open(str(tmp_path / "film.mp4")) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert video.average_rate == 30 and (video.width, video.height) == (48, 34)
        pictures = [f.to_ndarray(format="rgb24") for f in film.decode(video)]
        film.seek(0)
        sound = np.concatenate([f.to_ndarray() for f in film.decode(audio)], axis=1)
    assert len(pictures) == 30 and abs(float(pictures[20].mean()) - 100) < 6
    assert abs(sound.shape[1] / 16_000 - 1.0) < 0.15  # cut to the film's second
    spectrum = np.abs(np.fft.rfft(sound[0, 2000:14_000]))
    assert abs(spectrum.argmax() * 16_000 / 12_000 - 440) < 3
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_no_frames_leave_no_file(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "film.mp4", [], 30)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_said_to_the_user(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install -e '\.\[video\]'"):
        write_video(tmp_path / "film.mp4", [np.zeros((4, 4, 3), np.uint8)], 30)


def test_edges_are_smooth(backend):
    """A pixel is as bright as the share of it that is covered: 0, 1/4, 1/2 or all of it, in linear light."""
    v, mesh = square(0.0, (1.0, 1.0, 1.0))
    v[:, :2] += 0.5 * 2 / 32  # half a pixel to the right and up
    picture = render([mesh], [v], straight_camera(), background=BLACK, backend=backend, supersample=2).astype(float)
    full, side, corner = picture[32, 32], picture[32, 16], picture[47, 16]
    np.testing.assert_allclose(side, 0.5 ** (1 / 2.2) * full, atol=1.5)
    np.testing.assert_allclose(corner, 0.25 ** (1 / 2.2) * full, atol=1.5)
    rough = render([mesh], [v], straight_camera(), background=BLACK, backend=backend, supersample=1)
    assert len(np.unique(rough)) == 2


def test_no_sample_falls_between_neighbours(backend):
    """A closed wall of small triangles at any slant has no pixel that shows what is behind it."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.linspace(-3, 3, 40), np.linspace(-3, 3, 40))
    v = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    v[:, :2] += rng.uniform(-0.03, 0.03, (len(v), 2))
    g = np.arange(1600).reshape(40, 40)
    a, b, c, d = g[:-1, :-1], g[:-1, 1:], g[1:, 1:], g[1:, :-1]
    triangles = np.concatenate([np.stack(f, -1).reshape(-1, 3) for f in ((a, b, c), (a, c, d))])
    wall = Mesh(triangles, np.array([0.5, 0.5, 0.5]), gloss=0.0)
    for turn in (0.0, 0.4):
        spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        picture = render([wall], [v @ spin.T], straight_camera(), background=BLACK, backend=backend)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
