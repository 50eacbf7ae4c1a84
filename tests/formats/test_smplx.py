"""SMPL-X motions: every layout they come in gives the same 55 joints, and what does not fit is named."""

import numpy as np
import pytest

from audio2face.face import rotations as rot
from audio2face.face.skeleton import foot_joints, positions
from audio2face.formats.npy import write_npz
from audio2face.formats.smplx import JOINT_NAMES, SKELETON, read_smplx, write_smplx

T = 6
BODY = slice(1, 22)


def some(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, shape)


def read(tmp_path, **arrays):
    write_npz(tmp_path / "a.npz", arrays)
    return read_smplx(tmp_path / "a.npz")


def refused(tmp_path, words, **arrays):
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, **arrays)
    assert str(error.value).startswith(str(tmp_path / "a.npz"))


def test_poses_in_one_array(tmp_path):
    poses = some(T, 165).astype(np.float32)
    motion = read(
        tmp_path, poses=poses, trans=some(T, 3), expressions=some(T, 100), betas=some(300), gender=np.array("female"),
        model=np.array("smplx2020"), mocap_frame_rate=np.array(30),
    )  # fmt: skip
    assert np.array_equal(motion.axis_angle, poses.reshape(T, 55, 3).astype(np.float64))
    assert np.array_equal(motion.translation, some(T, 3)) and motion.expressions.shape == (T, 100)
    assert (motion.fps, motion.gender, motion.betas.shape, motion.given) == (30.0, "female", (300,), JOINT_NAMES)


def test_the_layout_of_smplh_has_no_jaw_and_eyes(tmp_path):
    poses = some(T, 156)
    motion = read(tmp_path, poses=poses, trans=some(T, 3), dmpls=some(T, 8), mocap_framerate=np.array(120.0))
    assert np.array_equal(motion.axis_angle[:, :22].reshape(T, -1), poses[:, :66])
    assert np.array_equal(motion.axis_angle[:, 25:].reshape(T, -1), poses[:, 66:])
    assert not motion.axis_angle[:, 22:25].any() and motion.fps == 120
    assert set(JOINT_NAMES) - set(motion.given) == {"jaw", "left_eye_smplhf", "right_eye_smplhf"}
    assert motion.expressions.shape == (T, 0) and motion.betas.shape == (0,)


def test_the_same_motion_in_parts(tmp_path):
    whole = some(T, 55, 3)
    flat = lambda first, end: whole[:, first:end].reshape(T, -1)  # noqa: E731
    package = {
        "global_orient": flat(0, 1), "body_pose": whole[:, BODY], "jaw_pose": flat(22, 23), "leye_pose": flat(23, 24),
        "reye_pose": flat(24, 25), "left_hand_pose": flat(25, 40), "right_hand_pose": flat(40, 55),
    }  # fmt: skip
    amass = {
        "root_orient": flat(0, 1), "pose_body": flat(1, 22), "pose_jaw": flat(22, 23), "pose_eye": flat(23, 25),
        "pose_hand": flat(25, 55),
    }  # fmt: skip
    for arrays in (package, amass):
        motion = read(tmp_path, **arrays, transl=some(T, 3), expression=some(T, 10), fps=np.array([25]))
        assert np.array_equal(motion.axis_angle, whole) and motion.given == JOINT_NAMES
        assert motion.translation.any() and motion.expressions.shape == (T, 10) and motion.fps == 25
    motion = read(tmp_path, body_pose=flat(1, 22))
    assert np.array_equal(motion.axis_angle[:, BODY], whole[:, BODY]) and motion.given == JOINT_NAMES[BODY]
    assert not motion.translation.any() and motion.fps is None


def test_what_is_written_comes_back(tmp_path):
    arrays = {"poses": some(T, 165), "trans": some(T, 3), "expressions": some(T, 50), "betas": some(10)}
    motion = read(tmp_path, **arrays, mocap_frame_rate=np.array(29.97))
    write_smplx(tmp_path / "b.npz", motion)
    again = read_smplx(tmp_path / "b.npz")
    assert np.allclose(again.axis_angle, motion.axis_angle, atol=1e-6)
    assert np.allclose(again.translation, motion.translation, atol=1e-6) and again.fps == 29.97
    assert again.expressions.shape == (T, 50) and again.gender == "neutral"


@pytest.mark.parametrize(
    ("words", "arrays"),
    [
        (r"expected the array poses .*; found other", {"other": some(T, 3)}),
        ("poses: expected 165 columns .* found 100", {"poses": some(T, 100)}),
        (r"poses: expected numbers per frame \(T, n\), found shape \(165,\)", {"poses": some(165)}),
        ("poses 0: expected numbers, found NaN", {"poses": np.full((T, 165), np.nan)}),
        ("poses: expected numbers, found <U1", {"poses": np.full((T, 165), "a")}),
        ("trans: expected 6 frames as the pose has, found 5", {"poses": some(T, 165), "trans": some(5, 3)}),
        (r"trans: expected \(T, 3\), found \(6, 2\)", {"poses": some(T, 165), "trans": some(T, 2)}),
        ("expressions: expected 6 frames", {"poses": some(T, 165), "expressions": some(1, 100)}),
        (r"left_hand_pose: expected \(6, 45\), found \(6, 12\); hands as principal components .*use_pca=False",
         {"body_pose": some(T, 63), "left_hand_pose": some(T, 12)}),
        (r"jaw_pose: expected \(6, 3\), found \(1, 3\)", {"body_pose": some(T, 63), "jaw_pose": some(1, 3)}),
        ("fps: expected one rate above 0", {"poses": some(T, 165), "fps": np.array(0)}),
        ("fps: expected one rate above 0", {"poses": some(T, 165), "fps": np.array([30, 30])}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, words, arrays):
    refused(tmp_path, words, **arrays)


def test_a_motion_of_other_joints_is_not_written(tmp_path):
    motion = read(tmp_path, poses=some(T, 165))
    bad = type(motion)(motion.axis_angle[:, :22], motion.translation, motion.expressions, 30.0, motion.betas)
    with pytest.raises(ValueError, match=r"axis_angle \(T, 55, 3\)"):
        write_smplx(tmp_path / "b.npz", bad)


def test_the_skeleton_is_that_of_smplx():
    """The table of parents that every release of the model has, and a person of likely size that is symmetric."""
    parents = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
    for wrist, first in ((20, 25), (21, 40)):
        parents += [p for n in range(5) for p in (wrist, first + 3 * n, first + 3 * n + 1)]
    assert SKELETON.parents.tolist() == parents and len(JOINT_NAMES) == 55
    assert [JOINT_NAMES[i] for i in (0, 15, 22, 25, 28, 31, 34, 37, 40, 54)] == [
        "pelvis", "head", "jaw", "left_index1", "left_middle1", "left_pinky1", "left_ring1", "left_thumb1", "right_index1",
        "right_thumb3",
    ]  # fmt: skip
    rest = positions(SKELETON, np.broadcast_to(np.eye(3), (1, 55, 3, 3)))[0]
    place = dict(zip(JOINT_NAMES, rest, strict=True))
    assert 1.45 < place["left_eye_smplhf"][1] - place["left_foot"][1] < 1.65
    for name in JOINT_NAMES:
        if name.startswith("left"):
            assert np.allclose(place[name] * [-1, 1, 1], place[name.replace("left", "right")])
            assert place[name][0] > 0
    assert [JOINT_NAMES[i] for i in foot_joints(SKELETON)] == ["left_ankle", "right_ankle", "left_foot", "right_foot"]


def test_a_turned_and_moved_body(tmp_path):
    """A quarter turn about the pelvis puts the left hand in front of it or behind, and `trans` moves all alike."""
    poses = np.zeros((2, 165))
    poses[1, 1] = -np.pi / 2
    motion = read(tmp_path, poses=poses, trans=np.array([[0, 1.3, 0], [5, 1.3, 0]]))
    where = positions(SKELETON, rot.from_axis_angle(motion.axis_angle), motion.translation)
    hand, pelvis = JOINT_NAMES.index("left_wrist"), where[:, 0]
    assert np.allclose(pelvis, [[0, 0.95, 0], [5, 0.95, 0]])
    reach = where[0, hand] - pelvis[0]
    assert np.allclose(where[1, hand] - pelvis[1], [-reach[2], reach[1], reach[0]])
    assert where[..., 1].min() == pytest.approx(0.02, abs=0.05)
