"""Rotations against SciPy's, and what they promise at the edges: gimbal lock, half turns, zeros, time."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from audio2face.face import rotations as rot

TAIT_BRYAN = ["".join(order) for order in itertools.permutations("XYZ")]
PROPER = [a + b + a for a, b in itertools.permutations("XYZ", 2)]
ANGLES = st.floats(-720, 720, allow_nan=False)


def some(count=200, seed=0):
    return Rotation.random(count, random_state=seed).as_matrix()


def edges():
    """Rest, half and quarter turns about many axes, and rotations a hair away from them."""
    vectors = [np.array(v) * angle for v in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(v)
               for angle in np.array([0, 1e-9, 1e-5, 0.5, 1, 2 - 1e-9, 2]) * np.pi / 2 / np.linalg.norm(v)]  # fmt: skip
    return Rotation.from_rotvec(vectors).as_matrix()


@pytest.mark.parametrize("order", TAIT_BRYAN + PROPER)
def test_euler_angles_are_those_of_scipy(order):
    angles = np.random.default_rng(1).uniform(-400, 400, (4, 50, 3))
    theirs = Rotation.from_euler(order, angles.reshape(-1, 3), degrees=True).as_matrix().reshape(4, 50, 3, 3)
    assert np.allclose(rot.from_euler(angles, order, degrees=True), theirs, atol=1e-12)
    assert np.allclose(rot.from_euler(np.deg2rad(angles), order), theirs, atol=1e-12)
    ours = rot.to_euler(theirs, order, degrees=True)
    assert np.allclose(
        ours.reshape(-1, 3), Rotation.from_matrix(theirs.reshape(-1, 3, 3)).as_euler(order, degrees=True)
    )


@pytest.mark.parametrize("order", TAIT_BRYAN + PROPER)
def test_euler_angles_turn_as_the_matrix_does_in_gimbal_lock_too(order):
    middle = np.array([0, 90, -90, 180, 90 - 1e-6, 90 - 1e-9, 1e-7])
    angles = np.stack(np.meshgrid([0, 30, -170], middle, [0, 100, 180]), -1).reshape(-1, 3)
    for matrices in (rot.from_euler(angles, order, degrees=True), edges()):
        back = rot.from_euler(rot.to_euler(matrices, order), order)
        assert rot.geodesic_degrees(back, matrices).max() < 1e-6
        path = rot.to_euler(matrices, order, degrees=True, continuous=True)
        assert rot.geodesic_degrees(rot.from_euler(path, order, degrees=True), matrices).max() < 1e-4


@pytest.mark.parametrize("order", ["X", "Y", "Z", "XY", "XZ", "YX", "YZ", "ZX", "ZY"])
def test_orders_of_fewer_letters(order):
    angles = np.stack(np.meshgrid(*[np.linspace(-170, 170, 18)] * len(order)), -1).reshape(-1, len(order))
    matrices = rot.from_euler(angles, order, degrees=True)
    whole = np.zeros((len(angles), 3))
    full = order + "".join(axis for axis in "XYZ" if axis not in order)
    whole[:, : len(order)] = angles
    assert np.allclose(matrices, Rotation.from_euler(full, whole, degrees=True).as_matrix(), atol=1e-12)
    assert np.allclose(rot.to_euler(matrices, order, degrees=True), angles)


def test_angles_of_one_axis_go_on_beyond_a_turn():
    angles = np.linspace(0, 1000, 90)[:, None]
    matrices = rot.from_euler(angles, "Y", degrees=True)
    assert np.allclose(rot.to_euler(matrices, "Y", degrees=True, continuous=True), angles)


@pytest.mark.parametrize("order", ["", "XYZX", "XX", "XYY", "xyz", "ABC"])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match="Euler order"):
        rot.from_euler(np.zeros(len(order)), order)


def test_angles_that_do_not_fit_the_order_are_refused():
    with pytest.raises(ValueError, match=r"\(..., 3\) for Euler order XYZ"):
        rot.from_euler(np.zeros((5, 2)), "XYZ")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TAIT_BRYAN + PROPER), st.lists(st.tuples(ANGLES, ANGLES, ANGLES), min_size=2, max_size=4))
def test_smooth_angles_come_back_whatever_they_pass_through(order, corners):
    """Angles that move by little per frame, through gimbal lock and beyond a turn, are found again from the matrices."""
    steps = np.linspace(0, len(corners) - 1, 400)
    angles = np.stack([np.interp(steps, range(len(corners)), column) for column in np.array(corners).T], axis=-1)
    matrices = rot.from_euler(angles, order, degrees=True)
    found = rot.unwrapped(rot.to_euler(matrices, order, degrees=True), order, degrees=True, start=angles[0])
    assert rot.geodesic_degrees(rot.from_euler(found, order, degrees=True), matrices).max() < 1e-4
    nodes = np.abs(np.sin(np.deg2rad(angles[:, 1])) if order[0] == order[2] else np.cos(np.deg2rad(angles[:, 1])))
    if nodes.min() > 0.1:  # far from gimbal lock there is one way to go on
        assert np.allclose(found, angles, atol=1e-6)


@pytest.mark.parametrize("order", TAIT_BRYAN + PROPER)
def test_continuous_angles_pass_straight_through_gimbal_lock(order):
    middle = np.linspace(-170, 170, 341)  # each lock is met exactly
    angles = np.stack([np.full(341, 20.0), middle, np.full(341, -35.0)], axis=-1)
    matrices = rot.from_euler(angles, order, degrees=True)
    start = angles[0]
    assert np.allclose(
        rot.unwrapped(rot.to_euler(matrices, order, degrees=True), order, degrees=True, start=start), angles, atol=1e-5
    )


def test_in_gimbal_lock_both_outer_angles_take_half():
    turns = np.linspace(0, 900, 100)
    angles = np.stack([turns, np.full(100, 90.0), np.zeros(100)], axis=-1)
    found = rot.to_euler(rot.from_euler(angles, "ZXY", degrees=True), "ZXY", degrees=True, continuous=True)
    assert np.abs(np.diff(found, axis=0)).max() < 5
    assert np.allclose(np.abs(found[-1] - found[0]), [450, 0, 450], atol=1e-4)


@pytest.mark.parametrize("order", ["ZXY", "YXZ", "XYX"])
def test_the_nearest_triples_are_those_that_a_search_finds(order):
    """A triple a frame, of all that turn alike and lie within two turns, the nearest to the one before."""
    angles = np.cumsum(np.random.default_rng(3).normal(0, 25, (150, 3)), axis=0)
    found = rot.to_euler(rot.from_euler(angles, order, degrees=True), order, degrees=True)
    path = rot.unwrapped(found, order, degrees=True)
    turns = 360 * np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)))
    for before, now in itertools.pairwise(path):
        other = now + [180, 0, 180]
        other[1] = -now[1] if order[0] == order[2] else 180 - now[1]
        options = np.concatenate([now + turns, other + turns])
        assert np.linalg.norm(now - before) <= np.linalg.norm(options - before, axis=1).min() + 1e-6
    assert (
        rot.geodesic_degrees(rot.from_euler(path, order, degrees=True), rot.from_euler(angles, order, True)).max()
        < 1e-6
    )


def test_many_joints_at_once_are_as_each_alone():
    angles = np.cumsum(np.random.default_rng(0).normal(0, 12, (80, 5, 3)), axis=0)
    matrices = rot.from_euler(angles, "ZYX", degrees=True)
    together = rot.to_euler(matrices, "ZYX", continuous=True)
    assert np.array_equal(together[:, 3], rot.to_euler(matrices[:, 3], "ZYX", continuous=True))
    matrices[:, 1] = rot.from_euler(
        np.array([10.0, 90.0, 20.0]), "ZYX", degrees=True
    )  # one that is always in gimbal lock
    assert np.array_equal(together[:, 3], rot.to_euler(matrices, "ZYX", continuous=True)[:, 3])


@pytest.mark.parametrize("matrices", [some(), edges()], ids=["random", "edges"])
def test_axis_angles_and_quaternions_are_those_of_scipy(matrices):
    theirs = Rotation.from_matrix(matrices)
    vectors = rot.to_axis_angle(matrices)
    assert np.allclose(rot.from_axis_angle(vectors), matrices, atol=1e-9)
    assert np.allclose(np.linalg.norm(vectors, axis=-1), theirs.magnitude(), atol=1e-9)
    assert np.allclose(rot.from_axis_angle(theirs.as_rotvec(degrees=True), degrees=True), matrices, atol=1e-12)
    ours = rot.to_quaternion(matrices)
    assert np.allclose(np.abs((ours * theirs.as_quat()).sum(axis=-1)), 1)
    assert (np.sum(ours[1:] * ours[:-1], axis=-1) >= 0).all() and ours[0, 3] >= 0
    assert np.allclose(rot.from_quaternion(3 * ours), theirs.as_matrix(), atol=1e-12)
    assert np.allclose(rot.from_quaternion(rot.to_quaternion(matrices[7])), matrices[7])


def test_axis_angles_of_a_body_that_spins_on_do_not_jump():
    axis = np.array([0.6, 0.0, 0.8])
    for turns in (np.linspace(0, 20, 200), np.linspace(3, -20, 200)):
        vectors = turns[:, None] * axis
        found = rot.to_axis_angle(rot.from_axis_angle(vectors), continuous=True)
        assert np.allclose(found, vectors, atol=1e-9)


def test_axis_angles_pass_through_rest_and_whole_turns():
    for turns in (np.arange(-40, 41) * np.pi / 10, np.array([0, 0, 1, 0, -1, 0, 0, 2, 3, 4, 5, 2 * np.pi, 7, 8])):
        vectors = turns[:, None] * np.array([0.0, 1.0, 0.0])
        found = rot.to_axis_angle(rot.from_axis_angle(vectors), continuous=True)
        assert np.allclose(found - found[0], vectors - vectors[0], atol=1e-7)
    calm = np.cumsum(np.random.default_rng(0).normal(0, 0.1, (300, 4, 3)), axis=0) % 1.5  # never beyond half a turn
    matrices = rot.from_axis_angle(calm)
    assert np.allclose(rot.to_axis_angle(matrices, continuous=True), calm)
    wild = some(300).reshape(100, 3, 3, 3)
    assert rot.geodesic_degrees(rot.from_axis_angle(rot.to_axis_angle(wild, continuous=True)), wild).max() < 1e-6


def test_a_quaternion_of_zeros_is_refused():
    with pytest.raises(ValueError, match="0 0 0 1"):
        rot.from_quaternion(np.zeros((3, 4)))


def test_six_numbers_are_the_first_two_columns():
    matrices = some().reshape(20, 10, 3, 3)
    six = rot.to_six(matrices)
    assert six[3, 4].tolist() == [*matrices[3, 4, :, 0], *matrices[3, 4, :, 1]]
    assert rot.to_six(np.eye(3)).tolist() == [1, 0, 0, 0, 1, 0]
    assert np.allclose(rot.from_six(six), matrices, atol=1e-12)
    scaled = six * np.array([3.0, 3, 3, 0.5, 0.5, 0.5])
    scaled[..., 3:] += scaled[..., :3]
    assert np.allclose(rot.from_six(scaled), matrices, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e-9, 2.5, -7.0]), min_size=6, max_size=6))
@example([0.0, 1e-9, 1e-9, 1e-9, -7.0, -7.0])  # nearly one direction
def test_any_six_numbers_give_a_rotation(six):
    matrix = rot.from_six(np.array(six))
    assert np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-6) and np.linalg.det(matrix) > 0.99


def test_zeros_are_rest():
    assert np.array_equal(rot.from_six(np.zeros((2, 6))), np.stack([np.eye(3)] * 2))
    assert np.array_equal(rot.from_axis_angle(np.zeros((2, 3))), np.stack([np.eye(3)] * 2))
    assert np.array_equal(rot.from_euler(np.zeros((2, 3)), "XYZ"), np.stack([np.eye(3)] * 2))
    assert np.abs(rot.to_axis_angle(np.eye(3))).max() == 0 and rot.to_quaternion(np.eye(3)).tolist() == [0, 0, 0, 1]


def test_orthonormal_is_the_nearest_rotation():
    matrices = some(50)
    assert np.allclose(rot.orthonormal(matrices), matrices)
    noisy = matrices + np.random.default_rng(0).normal(0, 0.05, matrices.shape)
    near = rot.orthonormal(noisy)
    assert np.allclose(near @ near.swapaxes(-1, -2), np.eye(3)) and np.allclose(np.linalg.det(near), 1)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = near @ Rotation.from_rotvec(rng.normal(0, 0.05, (50, 3))).as_matrix()
        assert (np.sum((near - noisy) ** 2, axis=(1, 2)) <= np.sum((other - noisy) ** 2, axis=(1, 2))).all()
    mirrored = rot.orthonormal(np.diag([1.0, 1.0, -1.0]))
    assert np.isclose(np.linalg.det(mirrored), 1)


def test_interpolation_is_that_of_scipy():
    matrices = some(30, seed=4).reshape(10, 3, 3, 3)
    position = np.array([0.0, 0.25, 3.5, 8.99, 9.0, 4.0])
    ours = rot.interpolate(matrices, position)
    for joint in range(3):
        slerp = Slerp(np.arange(10), Rotation.from_matrix(matrices[:, joint]))
        assert np.allclose(ours[:, joint], slerp(position).as_matrix(), atol=1e-9)
    assert np.allclose(rot.interpolate(matrices, np.array([-2.0, 50.0])), matrices[[0, -1]])
    assert np.allclose(rot.interpolate(matrices[:1], np.zeros(3)), matrices[:1])


def test_interpolation_takes_the_shorter_way_and_survives_half_turns():
    ends = rot.from_euler(np.array([[170.0], [190.0], [10.0]]), "Z", degrees=True)
    found = rot.to_euler(rot.interpolate(ends, np.array([0.5, 1.5])), "Z", degrees=True)
    assert np.allclose(np.abs(found[0]), 180) and np.abs(found[1] - [100, -80]).min() < 1e-6
    middle = rot.interpolate(rot.from_euler(np.array([[0.0], [180.0]]), "Y", degrees=True), np.array([0.5]))
    assert np.allclose(np.abs(rot.to_euler(middle, "Y", degrees=True)), 90)


def test_geodesic_angles():
    angles = np.array([0, 1e-6, 0.01, 90, 179.999999, 180])
    turned = rot.from_axis_angle(angles[:, None] * np.array([0, 0.6, 0.8]), degrees=True)
    base = some(6)
    assert np.allclose(rot.geodesic_degrees(base, base @ turned), angles, atol=1e-9)
    assert np.allclose(
        rot.geodesic_degrees(base, turned),
        np.rad2deg((Rotation.from_matrix(base).inv() * Rotation.from_matrix(turned)).magnitude()),
    )


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("order", ["YXZ", "ZXZ", "XY"])
def test_pieces_of_a_frame_or_none_have_angles_too(count, order):
    angles = np.tile([0.3, 0.2, -0.1][: len(order)], (count, 1))
    found = rot.to_euler(rot.from_euler(angles, order), order, continuous=True)
    np.testing.assert_allclose(found, angles, atol=1e-12)
