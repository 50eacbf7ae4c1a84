"""Files of curves without a mesh: what of them the page shows, at which moment."""

import numpy as np
import pytest

from audio2face.commands.view import ViewRequest, build_library
from audio2face.face.skeleton import pose_from_values, positions
from audio2face.formats.arkit_csv import write_arkit_csv
from audio2face.formats.bvh import write_bvh
from audio2face.formats.curve_table import curve_table, write_curve_table
from audio2face.formats.smplx import JOINT_NAMES, SmplxMotion, write_smplx
from audio2face.problems import UserError
from audio2face.render.head import head_weights, pose_head
from audio2face.types import Joint, Skeleton
from audio2face.viewer.curve_files import bones_of, curve_files_track, find_curves

COUNT = 12
WEIGHTS = np.stack([np.linspace(0, 0.9, COUNT), np.linspace(0.8, 0, COUNT)], axis=1).astype(np.float32)
NAMES = ("jawOpen", "eyeBlinkLeft")
BODY = Skeleton(
    (
        Joint(
            "hips", -1, (0.0, 90.0, 0.0), ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation")
        ),
        Joint("chest", 0, (0.0, 50.0, 0.0), ("Zrotation", "Xrotation", "Yrotation")),
        Joint("hand", 1, (70.0, 0.0, 0.0), ("Zrotation", "Xrotation", "Yrotation"), (1.0, 0.0, 0.0)),
    )
)
MOTION = np.random.default_rng(0).uniform(-20, 20, (COUNT, 12))


def skin_of(track):
    channel = next(c for c in track.channels if c.name == "skin")
    return channel.read(0, track.num_frames)


def turn(yaw, pitch):
    """To the left and with the chin up, radians, in the head's own axes."""
    y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return y @ np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])


def test_a_table_moves_the_head_and_turns_it_as_live_link_means_it(tmp_path):
    angles = np.tile([0.3, 0.2, 0.0], (COUNT, 1))
    values = np.concatenate([angles, WEIGHTS], axis=1)
    write_curve_table(tmp_path / "a.csv", curve_table(("HeadYaw", "HeadPitch", "HeadRoll", *NAMES), values, 50.0))
    track = curve_files_track([tmp_path / "a.csv"], 30.0)
    assert (track.num_frames, track.start_s) == (COUNT, pytest.approx(0.01)) and track.fps == pytest.approx(50)
    expected = pose_head(head_weights(WEIGHTS, NAMES), np.repeat(turn(0.3, 0.2)[None], COUNT, axis=0))
    np.testing.assert_allclose(skin_of(track), expected, atol=1e-3)
    curves = track.curves()
    assert set(curves.names) == set(NAMES)


def test_a_recording_of_the_phone_app(tmp_path):
    opening = np.linspace(0, 1, 150)
    write_arkit_csv(tmp_path / "a.csv", {"jawOpen": opening}, 60.0)
    track = curve_files_track([tmp_path / "a.csv"], 30.0)
    assert track.num_frames == 150 and track.fps == pytest.approx(60, rel=1e-3)
    expected = pose_head(head_weights(opening[:, None], ["jawOpen"]))
    np.testing.assert_allclose(skin_of(track), expected, atol=2e-3)


def test_percent_gaps_and_lost_rows(tmp_path):
    values = 100 * WEIGHTS
    values[5] = np.nan
    times = np.delete(np.arange(COUNT), 8) / 30
    table = curve_table(NAMES, np.delete(values, 8, axis=0), 30.0, times_s=times)
    write_curve_table(tmp_path / "a.npz", table)
    track = curve_files_track([tmp_path / "a.npz"], 30.0)
    assert track.num_frames == COUNT
    shown = track.curves().weights
    kept = np.delete(np.arange(COUNT), 8)
    np.testing.assert_allclose(shown[kept], WEIGHTS[kept], atol=1e-4)


def test_a_body_is_a_skeleton_and_stands_beside_a_head_of_its_name(tmp_path):
    write_bvh(tmp_path / "a.bvh", BODY, MOTION, 60.0)
    alone = curve_files_track([tmp_path / "a.bvh"], 30.0)
    expected = positions(BODY, *pose_from_values(BODY, MOTION))
    np.testing.assert_allclose(alone.channels[0].read(0, COUNT), expected, atol=1e-3)
    write_curve_table(tmp_path / "a.npz", curve_table(NAMES, WEIGHTS[: COUNT // 2], 30.0))
    assert find_curves(tmp_path) == {"a": (tmp_path / "a.bvh", tmp_path / "a.npz")}
    both = curve_files_track(find_curves(tmp_path)["a"], 30.0)
    assert [c.name for c in both.channels] == ["skin", "figure"] and both.num_frames == COUNT
    np.testing.assert_allclose(skin_of(both), pose_head(head_weights(WEIGHTS[np.arange(COUNT) // 2], NAMES)), atol=1e-3)


def test_a_body_of_smplx(tmp_path):
    turns = np.zeros((COUNT, 55, 3))
    turns[:, 16, 2] = -1.2  # the left arm, down
    motion = SmplxMotion(turns, np.zeros((COUNT, 3)), np.zeros((COUNT, 0)), 30.0, np.zeros(10))
    write_smplx(tmp_path / "a.npz", motion)
    joints = curve_files_track([tmp_path / "a.npz"], 25.0).channels[0].read(0, COUNT)
    at = {name: joints[0, k] for k, name in enumerate(JOINT_NAMES)}
    assert at["left_wrist"][1] < at["left_shoulder"][1] - 0.3 and at["head"][1] > at["pelvis"][1]
    assert abs(at["right_wrist"][1] - at["right_shoulder"][1]) < 0.1
    assert len(bones_of([tmp_path / "a.npz"])) == 54


def test_what_is_typed(tmp_path):
    write_bvh(tmp_path / "b.bvh", BODY, MOTION, 60.0)
    write_curve_table(tmp_path / "a.csv", curve_table(NAMES, WEIGHTS, 30.0))
    library = build_library(ViewRequest(str(tmp_path)))
    try:
        assert [(s.name, s.actor) for s in library.shots] == [("a", ""), ("b", "b")]
        assert library.track(library.open(0, "prediction")).num_frames == COUNT
        assert library.actor("b").bones.tolist() == [[0, 1], [1, 2]] and any("built-in" in n for n in library.notices)
    finally:
        library.close()
    write_curve_table(tmp_path / "a.csv", curve_table(("loudness", "pitch"), WEIGHTS, 30.0))
    library = build_library(ViewRequest(str(tmp_path / "a.csv")))
    with pytest.raises(UserError, match="found loudness, pitch"):
        library.open(0, "prediction")
    library.close()
    (tmp_path / "b.bvh").write_text("HIERARCHY\nROOT")
    with pytest.raises(UserError, match=r"b\.bvh"):
        build_library(ViewRequest(str(tmp_path / "b.bvh")))
