"""Motion of bodies becomes a data set and a project: skeletons as they were, shots with their sound, expressions."""

import numpy as np
import pytest
from fakes.curves import BODY, speech
from scipy.spatial.transform import Rotation

from audio2face.config import load_config
from audio2face.dataset.checks import build_captured
from audio2face.doctor.check import full_check
from audio2face.face.skeleton import Joint, Skeleton, pose_from_values, positions
from audio2face.formats.bvh import read_bvh, write_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.smplx import SKELETON, SmplxMotion, write_smplx
from audio2face.formats.sound import read_sound, write_sound
from tools import import_motion

RATE = 16000


@pytest.fixture
def place(tmp_path, monkeypatch):
    for key in ("DATASETS", "WORKSPACE", "CONFIGS"):
        monkeypatch.setenv(f"A2F_{key}_ROOT", str(tmp_path / key.lower()))
    (tmp_path / "takes").mkdir()
    return tmp_path


def convert(place, *more):
    return import_motion.main([str(place / "takes"), "--actor", "sam", *more])


def bvh(folder, name, seconds=3.0, fps=30.0, skeleton=BODY, seed=0):
    rng = np.random.default_rng(seed)
    values = np.cumsum(rng.normal(size=(round(seconds * fps), skeleton.num_channels)), axis=0)
    write_bvh(folder / f"{name}.bvh", skeleton, values, fps)
    samples = speech(seed, seconds)
    write_sound(folder / f"{name}.wav", samples, RATE)
    return values, samples


def smplx(folder, name, count=150, fps=30.0):
    rng = np.random.default_rng(1)
    turns = 0.3 * np.sin(np.arange(count)[:, None, None] / rng.uniform(5, 30, (55, 3)))
    places = 0.1 * np.sin(np.arange(count)[:, None] / np.array([10, 20, 30]))
    faces = np.sin(np.arange(count)[:, None] / np.array([5, 9]))
    motion = SmplxMotion(turns, places, faces, fps, np.zeros(0))
    write_smplx(folder / f"{name}.npz", motion)
    write_sound(folder / f"{name}.wav", speech(2, count / (fps or 30.0)), RATE)
    return motion


def test_a_bvh_keeps_its_angles_and_joints(place, capsys):
    values, samples = bvh(place / "takes", "talk", 12.0)
    assert convert(place) == 0
    told = capsys.readouterr().out
    assert "group body: 2 joints, 30 frames a second" in told and "measure on: talk_03" in told
    shots = [f"talk_0{k}" for k in (1, 2, 3)]
    read = [read_bvh(place / f"datasets/sam/curves/body/{shot}.bvh") for shot in shots]
    assert all(skeleton == BODY and 1 / frame_s == pytest.approx(30) for skeleton, _, frame_s in read)
    np.testing.assert_allclose(np.concatenate([v for _, v, _ in read]), values, atol=2e-6)
    sounds = np.concatenate([read_sound(place / f"datasets/sam/audio/{shot}.wav")[0] for shot in shots])
    np.testing.assert_allclose(sounds[:, 0], samples, atol=1e-4)
    sections = load_config("sam", ("dataset", "preproc", "train", "inference"))
    assert sections["train"].TARGET_CHANNELS == ["body"] and sections["train"].VALIDATION_CLIPS == ["talk_03"]
    assert not sections["train"].AUG_MUTED_SHOTS and sections["inference"].OUTPUT_FORMATS == ["mp4", "bvh", "npz"]
    report = full_check(sections, ["sam"])[0]
    assert not [f for f in report.findings if f.level == "error"], report.findings
    group = report.data.curves["body"].group
    assert group.skeleton == BODY and set(report.data.curves["body"].shots) == set(shots)


def test_sound_and_motion_may_begin_apart(place):
    values, samples = bvh(place / "takes", "talk", 3.0)
    assert convert(place, "--audio-offset", "0.5", "--cut", "0") == 0
    sound = read_sound(place / "datasets/sam/audio/talk.wav")[0][:, 0]
    np.testing.assert_allclose(sound[: 2 * RATE], samples[RATE // 2 : 5 * RATE // 2], atol=1e-4)
    assert len(read_bvh(place / "datasets/sam/curves/body/talk.bvh")[1]) == 82  # a quarter of a second may lack sound
    assert convert(place, "--audio-offset", "-0.5", "--cut", "0", "--replace") == 0
    sound = read_sound(place / "datasets/sam/audio/talk.wav")[0][:, 0]
    assert not sound[: RATE // 2].any()
    np.testing.assert_allclose(sound[RATE // 2 :], samples[: len(sound) - RATE // 2], atol=1e-4)


def test_takes_of_other_rates_are_one_data_set(place, capsys):
    bvh(place / "takes", "a", 2.0, 120.0)
    bvh(place / "takes", "b", 2.0, 30.0, seed=1)
    assert convert(place, "--cut", "0", "--scale", "1/100") == 0
    assert "30, 120 frames a second" in capsys.readouterr().out
    assert load_config("sam", ("dataset",))["dataset"].CACHE_FPS == {"sam": 60}
    skeleton, _, frame_s = read_bvh(place / "datasets/sam/curves/body/a.bvh")
    assert frame_s == pytest.approx(1 / 120) and skeleton.joints[1].offset == (0, 0.2, 0)
    data, problems = build_captured(load_config("sam", ("dataset", "train")), "sam")
    assert not problems.errors and {shot.name: shot.num_frames for shot in data.shots} == {"a": 120, "b": 120}


def test_smplx_becomes_joints_and_expressions(place, capsys):
    motion = smplx(place / "takes", "speech")
    assert convert(place, "--cut", "0") == 0
    assert "group face: 2 expressions" in capsys.readouterr().out
    skeleton, values, _ = read_bvh(place / "datasets/sam/curves/body/speech.bvh")
    assert set(skeleton.names) == set(SKELETON.names)
    order = [skeleton.names.index(name) for name in SKELETON.names]  # a BVH has children below their parents
    turns, places = pose_from_values(skeleton, values)
    wanted = Rotation.from_rotvec(motion.axis_angle.reshape(-1, 3)).as_matrix().reshape(150, 55, 3, 3)
    np.testing.assert_allclose(turns[:, order], wanted, atol=1e-6)
    where = positions(SKELETON, wanted, motion.translation)
    np.testing.assert_allclose(positions(skeleton, turns, places)[:, order], where, atol=1e-5)
    face = read_curve_table(place / "datasets/sam/curves/face/speech.npz")
    np.testing.assert_allclose(face.values, motion.expressions, atol=1e-6)
    sections = load_config("sam", ("dataset", "train"))
    assert sections["train"].TARGET_CHANNELS == ["body", "face"]
    groups = build_captured(sections, "sam")[0].curves
    assert groups["body"].group.kind == "skeleton" and groups["face"].group.kind == "plain"


def test_what_cannot_be_is_told_at_once(place, capsys):
    bvh(place / "takes", "a", 2.0)
    bvh(place / "takes", "b", 2.0, skeleton=Skeleton((*BODY.joints, Joint("Head", 1, (0.0, 9.0, 0.0), ("Xrotation",)))))
    bvh(place / "takes", "c", 0.2)
    (place / "takes/a.wav").unlink()
    smplx(place / "takes", "d", fps=None)
    given = [str(place / "takes"), str(place / "takes/d.npz"), "--actor", "sam"]
    assert import_motion.main(given) == 2
    told = capsys.readouterr().err
    for part in ("a.bvh: no sound", "c.bvh: only 0.20 seconds", "d.npz: it has no frame rate; pass --motion-fps"):
        assert part in told
    write_sound(place / "takes/a.wav", speech(0), RATE)
    (place / "takes/c.bvh").unlink()
    assert convert(place) == 2
    assert "b.bvh: its joints or channels are not those of" in capsys.readouterr().err
    assert not (place / "datasets").exists()
