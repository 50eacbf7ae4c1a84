"""Pictures of edits: which curves are drawn, what is shaded, and a film of both sides."""

import numpy as np
import pytest
import soundfile
from fakes.curves import HEAD, WEIGHTS

from audio2face.face.curves import Block, CurveGroup
from audio2face.inference.edit.charts import Chart, curve_charts, skin_charts
from audio2face.inference.edit.pictures import draw_charts, film_curves, film_skin
from audio2face.inference.edit.request import Edit

COUNT, FPS = 90, 30.0
GROUPS = {
    "arkit": CurveGroup("arkit", (Block("weights", WEIGHTS, low=0.0, high=1.0),)),
    "head": CurveGroup("head", (Block("rotation", HEAD, "YXZ", "radians"),)),
}
EDIT = Edit((np.arange(COUNT) >= 60) & (np.arange(COUNT) < 66), {62: 62}, None, (), 1001)


def values(turn=0.0):
    times = np.arange(COUNT)[:, None] / 20
    arkit = 0.4 + 0.3 * np.sin(times + np.arange(4))
    head = np.stack([np.full(COUNT, turn), 0.1 * np.sin(times[:, 0]), np.zeros(COUNT)], axis=1)
    return {"arkit": arkit.astype(np.float32), "head": head.astype(np.float32)}


def test_charts_are_of_the_jaw_the_head_and_what_changed():
    before, after = values(), values(turn=0.5)
    after["arkit"][60:66, 3] = 0.9
    charts = curve_charts(before, after, GROUPS)
    names = [chart.name for chart in charts]
    assert names == ["head, yaw to its left", "head, pitch with the chin up", "head, roll to its left", "browInnerUp"]
    np.testing.assert_allclose(charts[0].after, np.rad2deg(0.5), rtol=1e-5)
    after["arkit"][60, 0] = 0
    assert curve_charts(before, after, GROUPS)[3].name == "jawOpen"


def test_charts_of_a_skin_are_in_millimetres():
    neutral = np.stack([np.zeros(21), np.linspace(0, 20, 21), np.zeros(21)], axis=1).astype(np.float32)
    opening = np.zeros((21, 3), np.float32)
    opening[[5, 6], 1] = 1, -1
    before = np.repeat(neutral[None], 3, axis=0)
    after = before.copy()
    after[1] += 2 * opening
    data = {"neutral_skin": neutral, "lip_open_pose_delta": opening}
    lips, lower, upper = skin_charts(before, after, data, units_per_metre=100.0)
    np.testing.assert_allclose(lips.after - lips.before, [0, 40, 0], atol=1e-3)
    assert lips.unit == "mm" and lower.after[1] > 1 and upper.after[1] < 0.1
    assert len(skin_charts(before, after, data | {"lip_open_pose_delta": 0 * opening}, 100.0)) == 2


def test_curves_are_drawn_around_what_is_new(tmp_path):
    image = pytest.importorskip("PIL.Image")
    chart = Chart("a", "", np.zeros(COUNT), np.linspace(0, 1, COUNT))
    path = draw_charts(tmp_path / "a.png", [chart, chart], EDIT, FPS)
    picture = np.asarray(image.open(path))
    assert picture.shape == (340, 1100, 3)
    shaded = np.flatnonzero((picture[60:120] == (238, 243, 251)).all(axis=(2)).any(axis=0))
    assert 0.06 < len(shaded) / 1100 < 0.09 and shaded.min() > 550  # 6 of 90 frames, of which the first is 60
    assert draw_charts(tmp_path / "b.png", [], EDIT, FPS) is None
    nothing = Edit(np.zeros(COUNT, bool), {}, None, (), 0)
    assert draw_charts(tmp_path / "b.png", [chart], nothing, FPS) is None


@pytest.mark.parametrize("kind", ["skin", "curves", "nothing"])
def test_a_film_shows_both_sides_with_the_sound(tmp_path, kind):
    av = pytest.importorskip("av")
    sound = tmp_path / "a.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(size=COUNT // 5 * 16000) * 0.1, 16000)
    edit, rate = Edit(np.arange(COUNT) == 60, {}, None, (), 0), 5.0
    if kind == "nothing":
        plain = {"x": CurveGroup("x", (Block("plain", ("a",)),))}
        table = {"x": np.zeros((COUNT, 1), np.float32)}
        assert film_curves(tmp_path / "a.mp4", (table, table), plain, edit, rate, sound) is None
        return
    if kind == "skin":
        skin = np.random.default_rng(0).normal(size=(1, 30, 3)).astype(np.float32).repeat(COUNT, axis=0)
        path = film_skin(tmp_path / "a.mp4", (skin, skin), np.array([[0, 1, 2], [3, 4, 5]]), edit, rate, sound)
    else:
        path = film_curves(tmp_path / "a.mp4", (values(), values(0.5)), GROUPS, edit, rate, sound)
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert len(frames) == 11 and len(film.streams.audio) == 1  # with a second on either side
    bars = np.array([frame[-3:].mean(axis=(0, 1)) for frame in frames])
    assert bars[5, 0] < 120 and (np.delete(bars, 5, axis=0) > 180).all()
    left, right = frames[5][40:-10, :400], frames[5][40:-10, 400:]
    assert (np.abs(left.astype(int) - right).mean() > 3) == (kind == "curves")
