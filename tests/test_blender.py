"""The export script for Blender, run in a real Blender: the pip package bpy, in this Python or in A2F_BLENDER_PYTHON's."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audio2face.formats import read_animation
from audio2face.formats.rig import read_rig_file
from audio2face.formats.sound import read_sound

SCRIPT = Path(__file__).resolve().parent.parent / "tools/blender/export_face_data.py"
PYTHON = os.environ.get("A2F_BLENDER_PYTHON") or (sys.executable if importlib.util.find_spec("bpy") else None)


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="needs bpy, or A2F_BLENDER_PYTHON (a Python with bpy)")
def test_a_scene_of_known_motion(tmp_path):
    home = tmp_path / "anna"
    scene = Path(__file__).with_name("blender_scene.py")
    done = subprocess.run([PYTHON, scene, SCRIPT, home], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'CACHE_FPS = {"anna": 30}' in done.stdout
    points = np.load(home / "points.npy")
    index = np.arange(1, 9)[:, None]

    def y_up(vectors):
        return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1) * 100

    rest = np.load(home / "geom/skin/neutral_pose.npy")
    np.testing.assert_allclose(rest, y_up(points), atol=1e-4)
    rig = read_rig_file(home / "bs_data/bs_skin.npz").meshes[0]
    assert rig.target_names == ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")
    opening = y_up(np.array([0, 0, -0.01]) * index)
    np.testing.assert_allclose(rig.targets[0], opening, atol=1e-4)
    closing = y_up(np.array([-0.01, -0.01, 0]) * index)
    np.testing.assert_allclose(np.load(home / "geom/skin/eye_close_pose_delta.npy"), closing, atol=1e-4)
    # the head's motion is taken out: only the mouth opens, evenly
    skin = np.load(home / "cache/skin/s2_joy/s2_joy.npy")
    share = (np.arange(6, 12) / 11)[:, None, None]
    np.testing.assert_allclose(skin, rest + share * opening, atol=2e-3)
    swaying = read_animation(home / "cache/skin/swaying/swaying.pc2").frames
    assert len(swaying) == 12 and np.abs(swaying[-1] - skin[-1]).max() > 0.5
    assert np.load(home / "geom/skin/triangles.npy").shape == (3, 3)
    lists = json.loads((home / "geom/skin/lip_dist_vertex_list.json").read_text())
    assert set(lists["upper"]) == {0, 1} and rest[lists["upper"][0], 0] >= rest[lists["upper"][1], 0]
    assert np.load(home / "geom/skin/prune_mask.npy").tolist() == [4, 5]
    # the jaw's bone turns by 20 degrees, the right eye down or up, the left one to a side
    with (
        np.load(home / "xform/jaw_keypoints_cache_all.npz") as jaw,
        np.load(home / "xform/eye_rotations_all.npz") as eye,
    ):
        assert set(jaw) == set(eye) == {"s1_neutral", "s2_joy"}
        tip = np.load(home / "xform/jaw_keypoints_neutral.npy")[0]
        assert jaw["s2_joy"].shape == (6, 5, 3)
        travelled = np.linalg.norm(jaw["s2_joy"][-1, 0])
        assert travelled == pytest.approx(2 * 4 * np.sin(np.deg2rad(10)), rel=1e-3), tip  # the tip, 4 cm from the hinge
        right, left = eye["s2_joy"][-1]
        assert abs(right[0]) == pytest.approx(10, abs=0.1) and abs(right[1]) < 0.1
        assert abs(left[1]) == pytest.approx(15, abs=0.1) and abs(left[0]) < 0.1
    if not (home / "audio").exists():
        pytest.skip("this Blender has no sound; all else is right")
    samples, rate = read_sound(home / "audio/s1_neutral.wav")
    assert rate == 48000 and len(samples) / rate == pytest.approx(0.2, abs=0.02) and np.abs(samples).max() > 0.1


def test_the_script_is_valid_python():
    compile(SCRIPT.read_text(), str(SCRIPT), "exec")
