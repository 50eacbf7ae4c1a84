import numpy as np
import pytest
from fakes.face import make_codec

from audio2face.face.codec import Channel, common_layout, kind_of, part_of

SIZES = {"skin_coeffs": 3, "jaw": 6, "eye": 4}


def orthonormal(count, vertices, seed=0):
    rows = np.linalg.qr(np.random.default_rng(seed).normal(size=(3 * vertices, count)))[0].T
    return rows.reshape(count, vertices, 3).astype(np.float32)


def test_a_channel_knows_its_part_and_its_kind():
    assert [part_of(name) for name in ("skin_coeffs", "skin_pose", "tongue_pose", "jaw", "arkit")] == [
        "skin", "skin", "tongue", "jaw", "arkit"
    ]  # fmt: skip
    assert [kind_of(name) for name in ("skin_pose", "tongue_coeffs", "jaw", "eye", "arkit")] == [
        "mesh", "mesh", "points", "angles", "curves"
    ]  # fmt: skip
    codec = make_codec(SIZES)
    assert codec["skin"] is codec["skin_coeffs"] is codec["skin_pose"] and codec["jaw"].size == 6
    with pytest.raises(KeyError):
        codec["tongue"]


def test_coefficients_become_vertices_in_blocks_and_on_disk(tmp_path):
    rng = np.random.default_rng(0)
    codec = make_codec(SIZES, {"skin": rng.normal(size=(3, 4, 3)).astype(np.float32)})
    values = rng.normal(size=(600, 13)).astype(np.float32)
    face = codec.decode(values)
    assert {part: x.shape for part, x in face.items()} == {"skin": (600, 4, 3), "jaw": (600, 2, 3), "eye": (600, 4)}
    expected = np.einsum("tk,kvc->tvc", values[:, :3], codec["skin"].basis.components)
    np.testing.assert_allclose(face["skin"], expected, atol=1e-5)
    assert np.array_equal(face["jaw"].reshape(600, 6), values[:, 3:9]) and np.array_equal(face["eye"], values[:, 9:])
    stored = np.memmap(tmp_path / "skin", np.float32, "w+", shape=(600, 4, 3))
    assert codec.decode(values, {"skin": stored})["skin"] is stored
    np.testing.assert_allclose(stored, expected, atol=1e-5)


def test_a_codec_restores_what_it_normalises():
    codec = make_codec(SIZES, {"skin": orthonormal(3, 2)}, skin_coeffs=2.0, jaw=4.0)
    values = np.arange(13, dtype=np.float32)[None]
    assert codec.normalise(values)[0, [0, 2, 3, 9]].tolist() == [0, 1, 0.75, 9]
    rest = np.arange(16, dtype=np.float32)
    poses = codec.on_vertices(rest)
    assert poses.layout.sizes == {"skin_pose": 6, "jaw": 6, "eye": 4} and np.array_equal(poses.offsets, rest)
    frames = np.float32([[2.0] * 6 + [4.0] * 6 + [1.0] * 4])
    assert np.array_equal(poses.normalise(frames)[0], rest + 1.0)
    assert np.array_equal(poses.restore(poses.normalise(frames)), frames)
    assert poses.scales.tolist() == [2.0] * 6 + [4.0] * 6 + [1.0] * 4


def test_actors_share_a_layout_padded_to_the_largest():
    ann, bob = make_codec({"skin_coeffs": 3, "eye": 4}), make_codec({"skin_coeffs": 5, "eye": 2})
    layout = common_layout([ann, bob])
    assert layout.sizes == {"skin_coeffs": 5, "eye": 4}
    values = {"skin_coeffs": np.ones((2, 3), np.float32)}
    assert ann.padded(values, layout).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0]] * 2
    assert bob.mask(layout).tolist() == [1, 1, 1, 1, 1, 1, 1, 0, 0]
    twice = bob.with_scales({"eye": 2.0})
    assert twice.normalise(np.full((1, 9), 2.0, np.float32), layout).tolist() == [[2, 2, 2, 2, 2, 1, 1, 1, 1]]


def test_components_of_zeros_stand_for_none():
    basis = orthonormal(3, 4)
    basis[2] = 0
    codec = make_codec(SIZES, {"skin": basis})
    assert codec.mask(codec.layout).tolist() == [1, 1, 0] + [1] * 10
    assert Channel("jaw", "points", 2).mask.tolist() == [1, 1]
