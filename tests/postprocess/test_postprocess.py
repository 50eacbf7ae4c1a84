"""Post-processing of skin, tongue, jaw and eyes, and the chain: closed forms, and pieces against the whole."""

import numpy as np
import pytest

from audio2face.postprocess import blendshapes, chain, eyes, jaw, skin, tongue
from audio2face.postprocess.limits import CONFIG_LIMITS, config_problems, numbers

DEFAULTS: dict[str, float] = {name: limit.default for name, limit in CONFIG_LIMITS.items()}
PLAIN = DEFAULTS | {  # every part passes its input through
    "upper_face_smoothing": 0, "lower_face_smoothing": 0, "upper_face_strength": 1, "lower_face_strength": 1,
    "eyelid_open_offset": 0, "lip_open_offset": 0, "tongue_strength": 1, "tongue_height_offset": 0,
    "tongue_depth_offset": 0, "saccade_strength": 0,
}  # fmt: skip
CHUNKS = [1, 2, 3, 7, 40]
RNG = np.random.default_rng(7)
NEUTRAL = RNG.normal(0, 5, (30, 3)).astype(np.float32)
LIDS, LIPS = RNG.normal(0, 1, (2, 30, 3)).astype(np.float32)
TONGUE = RNG.normal(0, 1, (8, 3)).astype(np.float32)
JAW = np.array([[0, 0, 1], [2, 0, 0], [-2, 0, 0], [1, 1, -1], [-1, 1, -1]], np.float32)


def in_chunks(step, frames, size):
    """Run `step(frames, state)` over pieces of `size` frames and join the first results."""
    state, parts = None, []
    for first in range(0, len(frames), size):
        part, state = step(frames[first : first + size], state)
        parts.append(part)
    return np.concatenate(parts)


# ---- limits


def test_defaults_lie_within_their_limits_and_both_ends_are_allowed():
    assert len(CONFIG_LIMITS) == 24 and config_problems(DEFAULTS) == []
    for name, limit in CONFIG_LIMITS.items():
        if name == "input_strength":
            continue
        for end, outward in zip(limit.range, (-1, 1), strict=True):
            assert config_problems(DEFAULTS | {name: end}) == []
            assert config_problems(DEFAULTS | {name: end + outward * 1e-9 * abs(end)}) == []  # the same float32
            problem = config_problems(DEFAULTS | {name: end + outward * 0.01})
            assert len(problem) == 1 and name in problem[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, 1e39, "1", None, [1]])
def test_impossible_values_are_problems(value):
    assert len(config_problems(DEFAULTS | {"input_strength": value})) == 1


def test_all_wrong_values_are_named_at_once():
    with pytest.raises(ValueError, match="skin_strength is 3.*blink_strength is missing"):
        numbers({"skin_strength": 3}, "skin_strength", "blink_strength")


# ---- skin


def test_motion_that_dies_away_ends_at_zero():
    """An average that halves for ever stands in subnormal numbers, in which many processors are a hundred times slower."""
    part = skin.build(DEFAULTS | {"eyelid_open_offset": 0, "lip_open_offset": 0}, NEUTRAL, LIDS, LIPS, 1 / 60)
    _, state = skin.apply(part, np.ones((3, *NEUTRAL.shape), np.float32))
    for _ in range(100):
        positions, state = skin.apply(part, np.full((10, *NEUTRAL.shape), 1e-42, np.float32), state)
    assert not state.smoothed.any()
    np.testing.assert_array_equal(positions[-1], NEUTRAL)


def test_skin_passes_motion_through_with_a_plain_config():
    motion = RNG.normal(size=(5, 30, 3)).astype(np.float32)
    part = skin.build(PLAIN, NEUTRAL, LIDS, LIPS, 1 / 60)
    positions, _ = skin.apply(part, motion)
    np.testing.assert_allclose(positions, NEUTRAL + motion, atol=2e-6)
    flat, _ = skin.apply(part, motion.reshape(5, 90))
    np.testing.assert_array_equal(flat, positions)


def test_resting_offsets_move_lids_and_lips():
    config = PLAIN | {"eyelid_open_offset": 0.5, "lip_open_offset": -0.1, "blink_strength": 2}
    part = skin.build(config, NEUTRAL, LIDS, LIPS, 1 / 60, blink_offset=0.75)
    positions, _ = skin.apply(part, np.zeros((1, 90)))
    np.testing.assert_allclose(positions[0], NEUTRAL + (0.75 * 2 - 0.5) * LIDS - 0.1 * LIPS, atol=2e-6)


def test_smoothing_follows_the_step_response_of_two_averages():
    part = skin.build(PLAIN | {"lower_face_smoothing": 0.05, "upper_face_smoothing": 0.05}, NEUTRAL, LIDS, LIPS, 1 / 60)
    motion = np.ones((9, 30, 3), np.float32)
    motion[0] = 0
    positions, _ = skin.apply(part, motion)
    a, n = 1 - 0.5 ** (1 / 60 / 0.05), np.arange(9)[:, None, None]
    np.testing.assert_allclose(
        positions - NEUTRAL, np.broadcast_to(1 - (1 - a) ** n * (1 + a * n), (9, 30, 3)), atol=2e-6
    )


def test_smoothing_halves_the_way_in_one_half_life():
    assert skin.smoothing_rate(np.float32(0.05), np.float32(0.05)) == 0.5
    assert skin.smoothing_rate(np.float32(0), 1 / 60) == 1


def test_mask_splits_the_face_at_its_level():
    y = np.linspace(10, 20, 101)
    mask = skin.lower_face_mask(np.stack([0 * y, y, 0 * y], axis=1), np.float32(0.6), np.float32(0.01))
    assert mask[60] == pytest.approx(0.5, abs=1e-4) and mask[0] == 1 and mask[-1] < 1e-12
    assert (np.diff(mask) <= 0).all()
    assert (1 / (1 + np.exp(-1)) - mask[59]) == pytest.approx(0, abs=1e-4)  # one softness below


def test_strengths_act_on_their_own_half():
    motion = np.ones((1, 30, 3), np.float32)
    config = PLAIN | {"lower_face_strength": 0, "upper_face_strength": 2, "face_mask_softness": 0.001}
    positions, _ = skin.apply(skin.build(config, NEUTRAL, LIDS, LIPS, 1 / 60), motion)
    low, high = NEUTRAL[:, 1].argmin(), NEUTRAL[:, 1].argmax()
    np.testing.assert_allclose(positions[0, low], NEUTRAL[low], atol=1e-6)
    np.testing.assert_allclose(positions[0, high], NEUTRAL[high] + 2, atol=1e-6)


@pytest.mark.parametrize("size", CHUNKS)
def test_skin_in_pieces_equals_skin_at_once(size):
    part = skin.build(DEFAULTS | {"lower_face_smoothing": 0.03, "upper_face_smoothing": 0}, NEUTRAL, LIDS, LIPS, 1 / 30)
    motion = RNG.normal(size=(40, 30, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        in_chunks(lambda x, s: skin.apply(part, x, s), motion, size), skin.apply(part, motion)[0]
    )


def test_states_are_values():
    part = skin.build(DEFAULTS, NEUTRAL, LIDS, LIPS, 1 / 60)
    motion = RNG.normal(size=(2, 30, 3))
    _, state = skin.apply(part, motion[:1])
    once, again = (skin.apply(part, motion[1:], state)[0] for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert skin.apply(part, motion[:0], state)[1].smoothed.shape == (2, 2, 30, 3)
    assert skin.apply(part, motion[:0])[1] is None


def test_skin_rejects_other_meshes_and_flat_faces():
    with pytest.raises(ValueError, match="29"):
        skin.build(DEFAULTS, NEUTRAL, LIDS[1:], LIPS, 1 / 60)
    with pytest.raises(ValueError, match="along Y"):
        skin.build(DEFAULTS, NEUTRAL * [1, 0, 1], LIDS, LIPS, 1 / 60)


# ---- tongue, jaw, eyes


def test_tongue_is_scaled_and_shifted():
    config = DEFAULTS | {"tongue_strength": 2, "tongue_height_offset": 0.5, "tongue_depth_offset": -1}
    motion = RNG.normal(size=(3, 8, 3)).astype(np.float32)
    expected = TONGUE + 2 * motion + np.float32([0, 0.5, -1])
    np.testing.assert_allclose(tongue.apply(tongue.build(config, TONGUE), motion), expected, atol=1e-6)


def rotation(axis, angle):
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize("points", [JAW, JAW * [1, 0, 1], JAW / 100], ids=["solid", "planar", "metres"])
@pytest.mark.parametrize("angle", [0.0, 0.2, 3.0])
def test_jaw_finds_the_rigid_motion(points, angle):
    turn, move = rotation([1, 2, -1], angle), np.array([0.3, -2, 1])
    delta = points @ turn.T + move - points
    config = DEFAULTS | {"lower_teeth_height_offset": 0.5, "lower_teeth_depth_offset": -0.25}
    transform = jaw.apply(jaw.build(config, points), np.stack([delta.reshape(-1), np.zeros(15)]))
    np.testing.assert_allclose(transform[0, :3, :3], turn, atol=1e-6)
    np.testing.assert_allclose(transform[0, :3, 3], move + [0, 0.5, -0.25], atol=1e-5)
    np.testing.assert_allclose(transform[1], [[1, 0, 0, 0], [0, 1, 0, 0.5], [0, 0, 1, -0.25], [0, 0, 0, 1]], atol=1e-6)
    np.testing.assert_array_equal(jaw.flat(transform)[0].reshape(4, 4).T, transform[0])


def test_a_mirrored_jaw_still_gets_a_rotation():
    transform = jaw.apply(jaw.build(DEFAULTS, JAW), (JAW * [-1, 1, 1] - JAW)[None])
    assert np.linalg.det(transform[0, :3, :3]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("points", "wrong"),
    [
        (np.zeros((5, 3)), "coincide"),
        (np.arange(15).reshape(5, 3), "line"),
        (JAW[:2], "at least 3"),
        (JAW * 0.001, "coincide"),
        (JAW * [1, 0.01, 0.01], "5 %"),
    ],
)
def test_key_points_that_fix_no_rotation_are_found(points, wrong):
    assert wrong in jaw.key_point_problem(points)
    assert jaw.key_point_problem(JAW) is None and jaw.key_point_problem(JAW * [1, 0, 1]) is None


def test_saccades_play_at_30_rows_a_second():
    table = np.stack([np.arange(10), -np.arange(10)], axis=1)
    config = PLAIN | {"saccade_strength": 1, "eyeballs_strength": 2, "eye_saccade_seed": 3, "left_eye_rot_y_offset": -2}
    gaze = np.tile([1, 2, 3, 4], (24, 1))
    angles, clock = eyes.apply(eyes.build(config, table, np.float32(1 / 60)), gaze)
    row = (3 + np.arange(24) // 2) % 10
    expected = np.stack([2 + row, 4 - row, 0 * row, 6 + row, 6 - row, 0 * row], axis=1)
    np.testing.assert_array_equal(angles, expected)
    assert clock == pytest.approx(2, abs=1e-5)


def test_saccade_seed_wraps_and_may_be_fractional():
    table = np.stack([np.arange(4), np.arange(4)], axis=1)
    part = eyes.build(PLAIN | {"saccade_strength": 1, "eye_saccade_seed": 4998.5}, table, np.float32(1 / 30))
    assert eyes.apply(part, np.zeros((3, 4)))[0][:, 0].tolist() == [2, 3, 0]


@pytest.mark.parametrize("size", CHUNKS)
def test_eyes_in_pieces_equal_eyes_at_once(size):
    part = eyes.build(DEFAULTS, RNG.normal(size=(11, 2)), np.float32(1 / 60))
    gaze = RNG.normal(size=(100, 4))
    np.testing.assert_array_equal(in_chunks(lambda x, s: eyes.apply(part, x, s), gaze, size), eyes.apply(part, gaze)[0])


@pytest.mark.parametrize("table", [np.zeros((0, 2)), np.zeros(3)])
def test_eyes_need_a_table_of_pairs(table):
    with pytest.raises(ValueError, match="saccade_rot_matrix"):
        eyes.build(DEFAULTS, table, 1 / 30)


# ---- the chain


POSES = RNG.normal(size=(5, 30, 3))


def params(num_poses, temporal=0.0):
    return {
        "strengthL1regularization": 0.1, "strengthL2regularization": 0.1, "strengthTemporalSmoothing": temporal,
        "strengthSymmetry": 0.0, "numPoses": num_poses, "bsSolveActivePoses": [1] * num_poses,
        "bsSolveCancelPoses": [-1] * num_poses, "bsSolveSymmetryPoses": [-1] * num_poses,
        "bsWeightMultipliers": [1.0] * num_poses, "bsWeightOffsets": [0.0] * num_poses,
    }  # fmt: skip


def model_data(regression):
    data = {
        "eye_close_pose_delta": LIDS, "lip_open_pose_delta": LIPS, "neutral_jaw": JAW,
        "saccade_rot_matrix": RNG.normal(size=(13, 2)),
    }  # fmt: skip
    if regression:
        matrices = {
            "shapes_matrix_skin": RNG.normal(size=(4, 30, 3)),
            "shapes_matrix_tongue": RNG.normal(size=(2, 8, 3)),
        }
        return data | matrices | {"shapes_mean_skin": NEUTRAL, "shapes_mean_tongue": TONGUE}
    return data | {"neutral_skin": NEUTRAL, "neutral_tongue": TONGUE}


@pytest.mark.parametrize("regression", [True, False])
def test_chain_joins_the_parts_and_streams(regression):
    data = model_data(regression)
    solver = blendshapes.build(params(5, temporal=0.5), NEUTRAL, POSES)
    tongue_solver = blendshapes.build(params(2), TONGUE, RNG.normal(size=(2, 8, 3)))
    face = chain.build(DEFAULTS, data, 1 / 60, skin_solver=solver, tongue_solver=tongue_solver)
    assert list(face.layout.sizes.values()) == ([4, 2, 15, 4] if regression else [90, 24, 15, 4])
    network = RNG.normal(0, 0.3, (40, face.layout.size)).astype(np.float32)
    whole, _ = chain.apply(face, network)
    motion = face.layout.split(network)["skin"]
    if regression:
        motion = motion @ data["shapes_matrix_skin"].reshape(4, 90)
    expected, _ = skin.apply(face.skin, motion)
    np.testing.assert_allclose(whole.skin, expected, atol=1e-5)
    assert len(whole) == 40 and whole.weights.shape == (40, 7) and whole.jaw.shape == (40, 4, 4)
    for size in CHUNKS:
        state, pieces = None, []
        for first in range(0, 40, size):
            piece, state = chain.apply(face, network[first : first + size], state)
            pieces.append(piece)
        for name in ("skin", "tongue", "jaw", "eyes", "weights"):
            joined = np.concatenate([getattr(piece, name) for piece in pieces])
            if regression:  # the sums over components may be ordered otherwise
                np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-5)
            else:
                np.testing.assert_array_equal(joined, getattr(whole, name))


def test_chain_without_solvers_has_no_weights():
    face = chain.build(DEFAULTS, model_data(False), 1 / 30)
    assert chain.apply(face, np.zeros((3, face.layout.size)))[0].weights.shape == (3, 0)
    with pytest.raises(ValueError, match="133"):
        chain.apply(face, np.zeros((3, 7)))


def test_chain_explains_wrong_data():
    data = model_data(True)
    with pytest.raises(ValueError, match="neutral_jaw, shapes_mean_tongue"):
        chain.build(DEFAULTS, {k: v for k, v in data.items() if k not in ("neutral_jaw", "shapes_mean_tongue")}, 1 / 60)
    with pytest.raises(ValueError, match="do not fit"):
        chain.build(DEFAULTS, data | {"shapes_matrix_tongue": np.zeros((2, 7, 3))}, 1 / 60)
    with pytest.raises(ValueError, match="tongue blendshapes"):
        solver = blendshapes.build(params(5), NEUTRAL, POSES)
        chain.build(DEFAULTS, data, 1 / 60, tongue_solver=solver)
