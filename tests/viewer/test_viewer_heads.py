"""Curves on the page: the built-in head as it is rendered, its colours, and skeletons as lines."""

import numpy as np
import pytest
from fakes.view_client import end, serve

from audio2face.render.head import builtin_head, head_weights, pose_head
from audio2face.viewer.heads import curves_track, figure_actor, head_actor
from audio2face.viewer.library import Library, ShotView

FPS, COUNT = 30.0, 9
NAMES = ("JawOpen", "eyeBlink_L")
WEIGHTS = np.stack([np.linspace(0, 1, COUNT), np.linspace(1, 0, COUNT)], axis=1)
TURNS = np.repeat(np.array([[[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]]), COUNT, axis=0)
JOINTS = np.arange(COUNT)[:, None, None] * 0.1 + np.array([[0.0, 0, 0], [0, 1, 0], [0.5, 1.5, 0.2]])
BONES = np.array([[0, 1], [1, 2]])


@pytest.fixture(scope="module")
def client():
    tracks = [
        lambda: curves_track(FPS, WEIGHTS, NAMES, TURNS, joints=JOINTS, start_s=0.5 / FPS),
        lambda: curves_track(FPS, joints=JOINTS),
    ]
    shots = [ShotView("both", "anna", truth=tracks[0]), ShotView("body", "ben", truth=tracks[1])]
    client = serve(Library("test", [head_actor("anna", BONES), figure_actor("ben", BONES)], shots))
    yield client
    end(client)


def test_the_page_gets_the_head_as_it_is_rendered(client):
    track = client.json("api/shots/0")["truth"]
    posed = pose_head(head_weights(WEIGHTS, NAMES), TURNS)
    assert track["channels"] == [{"name": "skin", "points": posed.shape[1]}, {"name": "figure", "points": 3}]
    assert track["num_frames"] == COUNT and track["start_s"] == pytest.approx(0.5 / FPS)
    got = np.concatenate([client.piece(track, k)["skin"] for k in range(-(-COUNT // track["chunk_frames"]))])
    np.testing.assert_allclose(got, posed, atol=1e-3)
    curves = client.json(f"api/curves/{track['id']}")
    assert curves["names"] == list(NAMES)
    np.testing.assert_allclose(np.transpose(curves["weights"]), WEIGHTS, atol=1e-4)


def test_the_page_gets_colours_and_bones(client):
    actors = client.json("api/scene")["actors"]
    assert [(a["coloured"], a["bones"]) for a in actors] == [(["skin"], 2), ([], 2)]
    colours = np.frombuffer(client.ask("colours/0/skin")[1], np.uint8).reshape(-1, 3)
    np.testing.assert_allclose(colours, 255 * builtin_head().colours, atol=0.51)
    np.testing.assert_array_equal(np.frombuffer(client.ask("bones/1")[1], "<u4").reshape(-1, 2), BONES)
    assert [client.ask(p)[0] for p in ("colours/1/skin", "colours/9/skin", "bones/9")] == [404] * 3


def test_a_figure_stands_beside_the_head_in_its_own_proportions(client):
    track = client.json("api/shots/0")["truth"]
    got = client.piece(track)["figure"]
    assert got[0, :, 0].min() > builtin_head().vertices[:, 0].max()
    scale = np.ptp(got[0, :, 1]) / 1.5
    np.testing.assert_allclose(np.diff(got, axis=1), scale * np.diff(JOINTS[: len(got)], axis=1), atol=1e-2)
    alone = client.piece(client.json("api/shots/1")["truth"])["figure"]
    np.testing.assert_allclose(alone, JOINTS[: len(alone)], atol=1e-4)


def test_gaps_repeat_and_what_cannot_be_shown_is_refused():
    joints = JOINTS.copy()
    joints[[0, 1, 4]] = np.nan
    read = curves_track(FPS, joints=joints).channels[0].read(0, COUNT)
    np.testing.assert_allclose(read[[0, 1, 4]], JOINTS[[2, 2, 3]])
    for wrong in (
        {},
        {"weights": WEIGHTS, "names": NAMES, "joints": JOINTS[:3]},
        {"joints": np.full((2, 3, 3), np.nan)},
    ):
        with pytest.raises(ValueError, match="cannot be shown"):
            curves_track(FPS, **wrong)
