"""The built-in head: what its shapes do, how it turns, and that it is what tools/make_head.py bakes."""

import logging

import numpy as np
import pytest

from audio2face.render.head import (
    LOOK_DEG,
    builtin_head,
    head_camera,
    head_frames,
    head_weights,
    of_camera_axes,
    pose_head,
)
from audio2face.render.raster import render_animation
from tools import make_head
from tools.demo.face import build_face, pose_skin
from tools.demo.figure import turned_ball

HEAD = builtin_head()
SKIN = next(part for part in HEAD.parts if part.name == "skin")


def weights(**shapes):
    return head_weights(np.array([list(shapes.values())], float).reshape(1, -1), list(shapes))


def turn(axis, angle):
    c, s = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    found = np.eye(3)
    found[i, i], found[i, j], found[j, i], found[j, j] = c, -s, s, c
    return found[None]


def middle(part, *pose):
    span = next(p for p in HEAD.parts if p.name == part).span
    return pose_head(*pose)[0, span].mean(axis=0)


def lid_gap(posed, side):
    ring = HEAD.lids[side][1]
    return posed[0, ring[len(ring) // 4], 1] - posed[0, ring[len(ring) * 3 // 4], 1]


def lip_gap(posed):
    upper, lower = HEAD.lips[:, 2]
    return float((posed[0, upper, 1] - posed[0, lower, 1]).max())


def test_the_file_is_what_the_tool_bakes():
    assert make_head.differences(make_head.bake(), HEAD) == []


def test_writing_and_reading_keep_a_head(tmp_path, monkeypatch):
    make_head.write_head(tmp_path / "head.npz", HEAD)
    monkeypatch.setattr("audio2face.render.head.FILE", tmp_path / "head.npz")
    assert make_head.differences(builtin_head.__wrapped__(), HEAD) == []
    assert (tmp_path / "head.npz").stat().st_size < 1_500_000


def test_shapes_and_triangles_are_whole():
    assert len(HEAD.names) == len(set(HEAD.names)) == 52 and HEAD.deltas.shape == (52, len(HEAD.vertices), 3)
    assert HEAD.parts[0].start == 0 and HEAD.parts[-1].end == len(HEAD.vertices)
    for part, mesh in zip(HEAD.parts, HEAD.meshes, strict=True):
        assert mesh.triangles.min() == 0 and mesh.triangles.max() < part.end - part.start
    assert sum(len(mesh.triangles) for mesh in HEAD.meshes) == len(HEAD.triangles)
    assert (np.abs(HEAD.deltas).max(axis=(1, 2)) > 0.1).all()  # every shape does something


def test_the_skin_moves_as_the_demo_poses_it():
    table = np.random.default_rng(0).uniform(0, 0.7, (5, 52)).astype(np.float32)
    np.testing.assert_allclose(pose_head(table)[:, SKIN.span], pose_skin(build_face(0), table), atol=0.003)


@pytest.mark.parametrize(("name", "side"), [("eyeBlinkRight", 0), ("eyeBlinkLeft", 1)])
def test_a_blink_closes_its_own_eye(name, side):
    open_, closed = pose_head(weights()), pose_head(weights(**{name: 1}))
    assert lid_gap(open_, side) > 0.7 and -0.2 < lid_gap(closed, side) < 0.05
    assert lid_gap(closed, 1 - side) == lid_gap(open_, 1 - side)


def test_the_jaw_opens_the_mouth_and_takes_the_lower_teeth_along():
    assert lip_gap(pose_head(weights())) < 0.05
    assert lip_gap(pose_head(weights(jawOpen=1))) > 1.5
    assert lip_gap(pose_head(weights(jawOpen=1, mouthClose=1))) < 0.05
    assert middle("lower_teeth", weights(jawOpen=1))[1] < middle("lower_teeth", weights())[1] - 1
    np.testing.assert_array_equal(middle("upper_teeth", weights(jawOpen=1)), middle("upper_teeth", weights()))


def test_left_is_the_persons_left():
    rest, smile = pose_head(weights())[0], pose_head(weights(mouthSmileLeft=1))[0]
    assert rest[np.linalg.norm(smile - rest, axis=1) > 0.2, 0].min() > 0
    assert HEAD.eyes[0, 0] < 0 < HEAD.eyes[1, 0]  # right first


def test_a_turn_is_rigid_about_the_pivot_and_leaves_the_neck():
    table, matrix = weights(jawOpen=0.3), turn(1, 0.5) @ turn(0, -0.2)
    before, after = pose_head(table)[0], pose_head(table, matrix)[0]
    head, foot = HEAD.turns == 1, before[:, 1] + 0.25 * before[:, 2] < -17.5
    np.testing.assert_allclose(after[head], (before[head] - HEAD.pivot) @ matrix[0].T + HEAD.pivot, atol=1e-4)
    np.testing.assert_allclose(after[foot], before[foot], atol=1e-4)
    assert head[np.argmax(before[:, 2])] and foot.any()


@pytest.mark.parametrize(("axis", "sign"), [(0, 1), (1, 1), (2, 1)])
def test_directions_of_turns(axis, sign):
    nose, crown = HEAD.vertices[:, 2].argmax(), HEAD.vertices[:, 1].argmax()
    before, after = HEAD.vertices, pose_head(weights(), turn(axis, 0.3))[0]
    moved = after - before
    assert [moved[nose, 1] < 0, moved[nose, 0] > 0, moved[crown, 0] < 0][axis]  # nods, turns left, leans right


def test_rotations_of_live_link_face():
    """Positive yaw turns left, positive pitch lifts the chin, positive roll leans left."""
    for axis, sign in ((1, 1), (0, -1), (2, -1)):
        np.testing.assert_allclose(of_camera_axes(turn(axis, 0.3)), turn(axis, sign * 0.3), atol=1e-12)
    together = turn(1, 0.3) @ turn(0, 0.2) @ turn(2, 0.1)
    np.testing.assert_allclose(of_camera_axes(together), turn(1, 0.3) @ turn(0, -0.2) @ turn(2, -0.1), atol=1e-12)


def test_eyes_turn_by_shapes_or_by_degrees():
    span = next(p for p in HEAD.parts if p.name == "left_eye").span
    rest, looked = HEAD.vertices[span], pose_head(weights(eyeLookOutLeft=0.5, eyeLookUpLeft=0.2))[0, span]
    degrees = np.array([[-0.2 * LOOK_DEG, 0.5 * LOOK_DEG]])
    np.testing.assert_allclose(looked, turned_ball(rest - HEAD.eyes[1], degrees, 1.0)[0], atol=1e-4)
    given = pose_head(weights(eyeLookInLeft=1), None, np.stack([degrees, degrees], axis=1))[0, span]
    np.testing.assert_allclose(given, looked, atol=1e-5)


def test_names_in_other_spellings_unknown_ones_and_missing_values(caplog):
    with caplog.at_level(logging.INFO):
        found = head_weights(np.array([[0.5, 0.25, np.nan, 1.0]]), ["JawOpen", "eyeBlink_L", "mouth_close", "headTilt"])
    at = {name: found[0, k] for k, name in enumerate(HEAD.names)}
    assert at.pop("jawOpen") == 0.5 and at.pop("eyeBlinkLeft") == 0.25 and not any(at.values())
    assert [r.message for r in caplog.records] == ["the built-in head has no shapes for 1 of 4 names: headTilt"]
    with pytest.raises(ValueError, match="2 names for weights"):
        head_weights(np.zeros((3, 4)), ["jawOpen", "jawLeft"])


def test_frames_for_the_renderer_are_the_poses():
    table = np.stack([np.linspace(0, 1, 4), np.linspace(1, 0, 4)], axis=1)
    turns = np.concatenate([turn(1, a) for a in np.linspace(0, 0.5, 4)])
    meshes, frames = head_frames(table, ["jawOpen", "eyeBlinkLeft"], turns)
    posed = pose_head(head_weights(table, ["jawOpen", "eyeBlinkLeft"]), turns)
    drawn = np.stack([np.concatenate([part[t] for part in frames]) for t in range(4)])
    np.testing.assert_allclose(drawn, posed, atol=1e-5)
    pictures = list(render_animation(meshes, frames, camera=head_camera((48, 48)), backend="numpy"))
    assert len(pictures) == 4 and (pictures[0] != pictures[3]).any()
    with pytest.raises(ValueError, match="4 frames of weights but 3 of rotation"):
        head_frames(table, ["jawOpen", "eyeBlinkLeft"], turns[:3])
