"""Bases, rigid motion, and the choice of poses against plain implementations in vertex space."""

import numpy as np
import pytest

from audio2face.geometry import pca, pca_fit
from audio2face.geometry.pose_selection import gram, rank_one_eig
from audio2face.geometry.pose_selection.rank_one_eig import IncrementalPca, rank_one_update
from audio2face.geometry.pose_selection.select import select_distinct
from audio2face.geometry.poses import PoseRows, PoseSequence, prune_similar
from audio2face.geometry.regions import looks_inward, mean_opening, opening, outwardness, upper_face_mask
from audio2face.geometry.rigid import fit_rigid, stabilize


def sequence(poses, name="shot"):
    return PoseSequence(name, len(poses), lambda frames: poses[frames])


def rows_of(poses, **options):
    return PoseRows([sequence(poses)], [np.arange(len(poses))], **options)


def motion(seed, count, vertices, rank, decay=0.7, offset=20.0):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((count, rank)) * np.arange(1, rank + 1) ** -decay
    return (weights @ rng.standard_normal((rank, vertices * 3)) + offset).astype(np.float32).reshape(count, vertices, 3)


# ---- similar poses


def plain_prune(x, distance):
    left = list(range(len(x)))
    while True:
        anchors = left[::10]
        near = [i for i in left if i not in anchors and any(np.linalg.norm(x[i] - x[a]) <= distance for a in anchors)]
        left = [i for i in left if i not in near]
        if not near or len(left) <= 10:
            return left


@pytest.mark.parametrize("distance", [0.0, 3.0, 9.0, 1e6])
@pytest.mark.parametrize("memory", [2**31, 40_000])
def test_prune_similar_equals_the_plain_rule(distance, memory):
    poses = motion(0, 90, 20, 4)
    expected = plain_prune(poses.reshape(90, -1).astype(float), distance)
    assert prune_similar(rows_of(poses, memory=memory), distance).tolist() == expected


def test_prune_similar_covers_what_it_drops():
    poses = motion(1, 300, 10, 3)
    kept = prune_similar(rows_of(poses), 4.0, max_rounds=1)
    anchors = poses[::10].reshape(30, -1)
    for frame in np.setdiff1d(np.arange(300), kept):
        assert np.linalg.norm(anchors - poses[frame].ravel(), axis=1).min() <= 4.0


def test_prune_similar_names_the_frame_that_is_not_finite():
    poses = motion(1, 30, 10, 3)
    poses[17, 2, 1] = np.nan
    with pytest.raises(FloatingPointError, match="frame 17"):
        prune_similar(rows_of(poses), 4.0)


# ---- distinct poses


def plain_select(x, max_rounds, variance=0.9999):
    chosen = np.unique(np.linspace(0, len(x) - 1, 4).astype(int)).tolist()
    extent = np.square(x - x[chosen[0]]).sum(1).max()
    for _ in range(max_rounds):
        mean = x[chosen].mean(axis=0)
        _, values, axes = np.linalg.svd(x[chosen] - mean, full_matrices=False)
        share = np.cumsum(values**2) / max(np.square(values).sum(), 1e-300)  # poses may all be equal
        count = min(np.searchsorted(share, variance, side="right") + 1, (values > 1e-8 * values[0]).sum())
        left = x - mean
        left = left - (left @ axes[:count].T) @ axes[:count]
        squared = np.square(left).sum(1)
        for c in chosen:
            squared[np.square(x - x[c]).sum(1) <= 1e-10 * extent] = -1
        best = int(squared.argmax())
        if squared[best] <= 1e-10 * extent:
            break
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("count, vertices, rank", [(60, 40, 200), (200, 30, 12), (250, 50, 300), (3, 5, 3), (1, 5, 3)])
@pytest.mark.parametrize("rounds", [20, 150])
def test_select_distinct_equals_the_plain_rule(monkeypatch, count, vertices, rank, rounds):
    for seed in range(3):
        monkeypatch.setattr(rank_one_eig, "DIRECT_SIZE", 128 if seed else 0)
        poses = motion(seed, count, vertices, rank)
        expected = plain_select(poses.reshape(count, -1).astype(float), rounds)
        assert select_distinct(rows_of(poses), rounds).tolist() == expected


def test_select_distinct_is_the_same_whatever_the_memory():
    poses = motion(3, 400, 30, 60)
    expected = plain_select(poses.reshape(400, -1).astype(float), 60)
    for memory in (2**31, 60_000):
        assert select_distinct(rows_of(poses, memory=memory), 60).tolist() == expected


def test_select_distinct_over_shots_and_some_vertices():
    poses = motion(4, 200, 30, 25)
    vertices = np.arange(0, 30, 3)
    frames = [np.arange(0, 90, 2), np.arange(5, 110)]
    rows = PoseRows([sequence(poses[:90]), sequence(poses[90:])], frames, vertices)
    flat = np.concatenate([poses[:90][frames[0]], poses[90:][frames[1]]])[:, vertices].reshape(150, -1)
    assert select_distinct(rows, 40).tolist() == plain_select(flat.astype(float), 40)


def test_select_distinct_ends_when_nothing_is_left_and_takes_no_pose_twice():
    poses = motion(5, 40, 30, 3)
    twice = np.concatenate([poses, poses])
    chosen = select_distinct(rows_of(twice), 787)
    assert len(set((chosen % 40).tolist())) == len(chosen) <= 40
    assert select_distinct(rows_of(np.repeat(poses[:1], 50, axis=0)), 787).tolist() == [0]


@pytest.mark.parametrize("stale", [0.0, 0.5])
def test_select_distinct_is_the_same_from_products_in_single_precision(monkeypatch, stale):
    monkeypatch.setattr(gram, "READ_SHARE", 0.0)
    monkeypatch.setattr(gram, "REFRESH_SHARE", stale)
    monkeypatch.setattr(gram, "LOOKAHEAD", 5)
    reads = []
    read = PoseRows.mutual_products
    monkeypatch.setattr(PoseRows, "mutual_products", lambda *args: (reads.append(args), read(*args))[1])
    for seed in range(3):
        poses = motion(seed, 300, 40, 120) + np.random.default_rng(seed).normal(0, 0.1, (300, 40, 3)).astype(np.float32)
        expected = plain_select(poses.reshape(300, -1).astype(float), 90)
        assert select_distinct(rows_of(poses), 90).tolist() == expected
    assert len(reads) > 6 if stale else len(reads) == 3


def test_select_distinct_takes_no_pose_twice_in_single_precision(monkeypatch):
    monkeypatch.setattr(gram, "READ_SHARE", 0.0)
    monkeypatch.setattr(gram, "LOOKAHEAD", 2)
    rng = np.random.default_rng(12)
    poses = motion(12, 150, 40, 30) + rng.normal(0, 0.3, (150, 40, 3)).astype(np.float32)
    order = rng.permutation(450)
    chosen = select_distinct(rows_of(np.concatenate([poses] * 3)[order]), 140, 0.95)
    assert len(set((order[chosen] % 150).tolist())) == len(chosen) == 144


@pytest.mark.parametrize("memory", [2**31, 40_000])
def test_mutual_products_are_the_same_whatever_the_memory(memory):
    poses = motion(3, 70, 20, 30, offset=0.0)
    among = np.array([0, 3, *range(10, 65)])
    weights = np.linspace(1, 2, 70, dtype=np.float32)[:, None]
    rows = rows_of(poses, memory=memory)
    found = rows.mutual_products(among, lambda part, block: weights[part] * block)
    changed = weights[among] * rows.take(among)
    assert np.allclose(found, changed @ changed.T, rtol=1e-4)


# ---- principal axes, updated


@pytest.fixture(params=[0, 1000])
def small(monkeypatch, request):
    """Up to which size matrices are decomposed: never, always."""
    monkeypatch.setattr(rank_one_eig, "DIRECT_SIZE", request.param)


def test_axes_of_points_that_come_one_at_a_time(small):
    rng = np.random.default_rng(0)
    found, points = IncrementalPca(), np.zeros((120, 70))
    for i in range(1, 120):
        size = min(i, 70)
        points[i, :size] = rng.standard_normal(size) * 1e3 / np.arange(1, size + 1) ** 2
        found.add(points[i, :size])
    centred = points - points.mean(axis=0)
    scatter = centred.T @ centred
    assert np.allclose(found.mean, points.mean(axis=0))
    assert np.allclose(found.values, np.linalg.eigvalsh(scatter), rtol=1e-6)
    assert np.abs(found.vectors.T @ found.vectors - np.eye(70)).max() < 1e-13
    assert np.abs(found.vectors * found.values @ found.vectors.T - scatter).max() < 1e-13 * scatter.max()


@pytest.mark.parametrize(
    "values, z",
    [
        ([2.0], [3.0]),
        ([0.0, 0.0, 1.0, 1.0, 1.0, 1e5], [1.0, 0.0, 2.0, 0.0, 1e-30, -3.0]),
        (np.repeat([0.0, 1.0, 1e5], 20), np.arange(60) % 3),
        (np.exp(np.linspace(-25, 10, 40)), np.exp(-np.arange(40.0))),
        (np.arange(9.0), np.zeros(9)),
        (np.arange(9.0), np.full(9, 1e-9)),
        (np.arange(9.0), np.full(9, 1e9)),
    ],
)
def test_eigenvalues_and_vectors_after_an_update_of_rank_one(small, values, z):
    values, z = np.array(values), np.array(z, float)
    found, vectors = rank_one_update(values, z, 0.9)
    expected = np.diag(values) + 0.9 * np.outer(z, z)
    tolerance = 1e-13 * np.abs(expected).max()
    assert np.abs(found - np.linalg.eigvalsh(expected)).max() <= tolerance
    assert np.abs(vectors * found @ vectors.T - expected).max() <= tolerance
    assert np.abs(vectors.T @ vectors - np.eye(len(z))).max() < 1e-14


# ---- components


def test_pca_reconstructs_and_is_orthonormal():
    poses = motion(6, 80, 25, 6)
    result = pca_fit.fit(poses, None, 1.0)
    basis = result.pca.components.reshape(result.pca.num_components, -1)
    assert np.allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-5)
    assert np.abs(pca.reconstruct(result.pca, pca.project(result.pca, poses)) - poses).max() < 1e-4
    assert np.all(np.diff(result.pca.variances) <= 0)
    assert all(row[np.abs(row).argmax()] > 0 for row in basis)


def test_pca_keeps_the_first_count_whose_share_exceeds_the_threshold():
    poses = motion(7, 60, 30, 20)
    flat = poses.reshape(60, -1).astype(float)
    values = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2
    for share in (0.5, 0.9, 0.9995):
        expected = int(np.argmax(np.cumsum(values) / values.sum() > share)) + 1
        assert pca_fit.fit(poses, None, share).pca.num_components == expected
    assert pca_fit.fit(poses, None, 0.5, num_components=13).pca.num_components == 13
    with pytest.raises(ValueError, match="61 components"):
        pca_fit.fit(poses, None, 0.5, num_components=61)


def test_pca_about_a_neutral_has_coefficients_zero_there():
    poses = motion(8, 50, 20, 5)
    neutral = poses[7] + 1
    basis = pca_fit.fit(poses, neutral, 0.9999).pca
    assert np.array_equal(basis.mean, neutral)
    assert np.abs(pca.project(basis, neutral[None])).max() == 0


def test_pca_of_still_poses_is_zero():
    poses = np.repeat(motion(9, 1, 20, 3), 30, axis=0)
    result = pca_fit.fit(poses, None, 0.9995)
    assert result.pca.num_components == 1 and not result.pca.components.any() and result.share == 1.0


def test_randomized_pca_agrees_with_the_exact_one(monkeypatch):
    poses = motion(10, 300, 60, 150, decay=1.0)
    exact = pca_fit.fit(poses, None, 0.97)
    monkeypatch.setattr(pca_fit, "EXACT_ROWS", 10)
    rough = pca_fit.fit(poses, None, 0.97)
    assert rough.pca.num_components == exact.pca.num_components
    assert np.allclose(rough.pca.variances, exact.pca.variances, rtol=1e-4)
    assert rough.share == pytest.approx(exact.share, abs=1e-6)


def test_projection_in_blocks_and_its_error():
    poses = motion(11, 90, 20, 8)
    basis = pca_fit.fit(poses, None, 0.9).pca
    for memory in (2**31, 50_000):
        coeffs, error = pca_fit.project_sequence(basis, sequence(poses), memory)
        distances = np.linalg.norm(pca.reconstruct(basis, coeffs) - poses, axis=2)
        assert np.allclose(coeffs, pca.project(basis, poses), atol=1e-4)
        assert error.mean == pytest.approx(distances.mean(), rel=1e-4)
        assert error.largest == pytest.approx(distances.max(), rel=1e-4)
        assert 1 - error.residual / error.variance > 0.85
    poses[40] = np.inf
    with pytest.raises(FloatingPointError, match="frame 40"), np.errstate(all="ignore"):
        pca_fit.project_sequence(basis, sequence(poses))


# ---- rigid motion


def turns(count, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((count, 3, 3)))[0]
    return q * np.linalg.det(q)[:, None, None]


def test_rigid_fit_recovers_a_known_motion():
    rng = np.random.default_rng(1)
    target, rotation, shift = rng.standard_normal((6, 3)), turns(20), rng.standard_normal((20, 3))
    moved = target @ rotation.transpose(0, 2, 1) + shift[:, None]
    found, translation = fit_rigid(moved, target)
    assert np.allclose(found @ rotation, np.eye(3), atol=1e-9)
    assert np.allclose(np.einsum("tij,tpj->tpi", found, moved) + translation[:, None], target, atol=1e-9)


def test_rigid_fit_never_reflects():
    target = np.random.default_rng(2).standard_normal((8, 3))
    rotation, _ = fit_rigid((target * [-1, 1, 1])[None], target)
    assert np.linalg.det(rotation[0]) == pytest.approx(1.0)
    flat = np.eye(3)  # three points: planar
    assert np.linalg.det(fit_rigid(flat[None], flat)[0][0]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="expected points"):
        fit_rigid(flat[None, :2], flat[:2])


def test_stabilize_leaves_only_the_deformation():
    rng = np.random.default_rng(3)
    neutral = rng.standard_normal((30, 3)).astype(np.float32)
    shape = np.repeat(neutral[None], 12, axis=0)
    shape[:, 10:] += 0.1 * rng.standard_normal((12, 20, 3))
    moved = shape @ turns(12, 4).transpose(0, 2, 1) + rng.standard_normal((12, 1, 3))
    assert np.allclose(stabilize(moved.astype(np.float32), np.arange(10), neutral), shape, atol=1e-5)


# ---- regions


def test_faces_look_outward_until_they_are_mirrored():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]  # the front is last
    box = np.array([t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])])
    for faces in (box, box[-2:], box[2:]):  # whole, only the front, one side missing
        value = outwardness(corners, faces)
        assert value > 0.3 and outwardness(corners + [9, -9, 9], faces) == pytest.approx(value)
        assert outwardness(corners * [-1, 1, 1], faces) == pytest.approx(-value)
        assert outwardness(corners, faces[:, ::-1]) == pytest.approx(-value)
        assert outwardness(corners[:, [1, 2, 0]], faces) > -0.01, "turned is not mirrored"
    assert looks_inward(corners * [-1, 1, 1], box) and not looks_inward(corners, box)
    assert not looks_inward(corners, None) and not looks_inward(-corners[:3], box)


def test_openings_and_the_upper_face():
    poses = np.zeros((2, 5, 3))
    poses[1, 0, 1], poses[1, 2, 1] = 3.0, -1.0
    assert opening(poses, [0, 1], [2, 3]).tolist() == [[0, 0], [4, 0]]
    assert mean_opening(poses, np.array([0, 1]), np.array([2, 3])).tolist() == [0, 2]
    face = np.array([[-3, 0, 0], [3, 0, 0], [0, 9, 0], [0, -9, 0], [0, 9, -20]], float)
    mask = upper_face_mask(face, np.array([0, 1]))
    assert mask[2] > 0.99 and mask[3] < 0.01 and mask[4] < 0.01 and mask[0] == pytest.approx(0.5, abs=0.01)
