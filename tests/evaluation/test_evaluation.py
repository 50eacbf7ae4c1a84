"""Metrics against hand-computed values and second implementations; planted faults; pooling; the report; the command."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from audio2face.evaluation import baselines, errors, motion, mouth, score, sync
from audio2face.evaluation.baselines import MEAN_POSE
from audio2face.evaluation.report import TRUTH, Evaluation, System, Video, html_report, json_report
from audio2face.geometry import regions

MM = 10.0  # data in centimetres
LIPS = np.array([0, 1])


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two frames of three vertices; lip vertex distances 3 and 5 in the first frame, 0 and 2 in the second."""
    truth = np.zeros((2, 3, 3))
    prediction = truth.copy()
    prediction[0, 0] = [3, 0, 0]
    prediction[0, 1] = [0, 3, 4]
    prediction[1, 1] = [0, 0, 2]
    prediction[:, 2] = [0, 6, 8]
    return truth, prediction


def test_lip_vertex_error_in_four_conventions(pair) -> None:
    assert errors.lip_vertex_error_max_squared(*pair, LIPS) == pytest.approx((25 + 4) / 2)
    assert errors.lip_vertex_error_rms(*pair, LIPS) == pytest.approx(np.sqrt(14.5))
    assert errors.lip_vertex_error_squared_xyz(*pair, LIPS) == pytest.approx(14.5 / 3)
    assert errors.lip_vertex_error_mm(*pair, LIPS, MM) == pytest.approx((5 + 2) / 2 * 10)
    assert errors.mean_vertex_error_mm(*pair, MM) == pytest.approx((3 + 5 + 10 + 0 + 2 + 10) / 6 * 10)


def test_published_lip_and_upper_face_metrics_by_another_route() -> None:
    rng = np.random.default_rng(0)
    truth, prediction, neutral = rng.normal(size=(40, 9, 3)), rng.normal(size=(40, 9, 3)), rng.normal(size=(9, 3))
    upper = np.array([2, 5, 7])
    by_vertex = [
        [sum((p - q) ** 2 for p, q in zip(a[v], b[v], strict=True)) for v in upper]
        for a, b in zip(truth, prediction, strict=True)
    ]
    assert errors.lip_vertex_error_max_squared(truth, prediction, upper) == pytest.approx(
        np.mean([max(row) for row in by_vertex])
    )
    signed, absolute = [], []
    for v in upper:
        true, ours = (np.linalg.norm(x[:, v] - neutral[v], axis=1) for x in (truth, prediction))
        signed.append(np.std(true**2) - np.std(ours**2))
        absolute.append(abs(np.std(true) - np.std(ours)))
    assert errors.upper_face_dynamics_deviation(truth, prediction, neutral, upper) == pytest.approx(np.mean(signed))
    assert errors.upper_face_dynamics_error_mm(truth, prediction, neutral, upper, MM) == pytest.approx(
        np.mean(absolute) * 10
    )


def test_mouth_opening() -> None:
    truth, prediction = np.array([0.0, 1, 2, 3]), np.array([0.0, 2, 2, 2])
    assert regions.mouth_opening_error_mm(truth, prediction, MM) == pytest.approx(5.0)
    assert regions.mouth_opening_relative_error(truth, prediction, rest=1.5) == pytest.approx(2 / 4)
    assert regions.mouth_opening_relative_error(truth, np.full(4, 1.5), rest=1.5) == pytest.approx(1.0)
    assert regions.mouth_opening_correlation(truth, prediction) == pytest.approx(
        scipy.stats.pearsonr(truth, prediction)[0]
    )
    assert np.isnan(regions.mouth_opening_correlation(truth, np.ones(4)))


def test_lip_closure() -> None:
    truth = np.array([1.0, 0.05, 1, 2, 0.9, 2, 0, 1])
    assert mouth.closed_frames(truth).tolist() == [1, 6]
    prediction = np.array([1.0, 0.25, 1, 2, 0.9, 2, -1, 1])  # too open by 0.2, then further closed than the truth
    assert mouth.lip_closure_error_mm(truth, prediction, np.array([1, 6]), MM) == pytest.approx(0.1 * MM)
    assert np.isnan(mouth.lip_closure_error_mm(truth, prediction, np.zeros(0, int), MM))
    assert not len(mouth.closed_frames(np.ones(9)))


def test_time_warping_against_the_textbook_recursion() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), rng.normal(size=12)
    table = np.full((13, 13), np.inf)
    table[0, 0] = 0
    for i in range(1, 13):
        for j in range(1, 13):
            table[i, j] = abs(a[i - 1] - b[j - 1]) + min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
    assert mouth.lip_distance_dtw_mm(a, b, fps=1000, mm=MM) == pytest.approx(table[-1, -1] / 12 * MM)
    assert mouth.lip_distance_dtw_mm(a, b, fps=1, mm=MM) >= table[-1, -1] / 12 * MM  # a narrow band can only cost
    late = np.concatenate([[0.0, 0.0], np.sin(np.arange(60) / 3)])
    assert mouth.lip_distance_dtw_mm(late[2:], late[:-2], 30, MM) < 0.3 * regions.mouth_opening_error_mm(
        late[2:], late[:-2], MM
    )


def test_velocity_and_jerk() -> None:
    t = np.arange(6.0)
    truth = np.zeros((6, 1, 3))
    truth[:, 0, 0] = t**3  # third difference 6
    prediction = truth * 2
    assert motion.mean_jerk_mm_s3(truth, 1.0, 1.0) == pytest.approx(6)
    assert motion.mean_jerk_mm_s3(truth, 30.0, MM) == pytest.approx(6 * 30**3 * MM)
    assert motion.jerk_ratio(truth, prediction) == pytest.approx(2)
    assert motion.velocity_error_mm_s(truth, prediction, 30, MM) == pytest.approx(125 / 5 * 30 * MM)
    assert np.isnan(motion.jerk_ratio(truth[:3], truth[:3])) and np.isnan(
        motion.velocity_error_mm_s(truth[:1], truth[:1], 30, MM)
    )


def test_diversity() -> None:
    samples = np.zeros((3, 2, 2, 3))
    samples[1, ..., 0], samples[2, ..., 0] = 1, 3
    assert motion.diversity_mm(samples, MM) == pytest.approx((1 + 3 + 2) / 3 * MM)
    assert np.isnan(motion.diversity_mm(samples[:1], MM))


def test_frechet_distance_against_a_matrix_root() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(200, 4)) + 1
    cov = [np.cov(x, rowvar=False) for x in (a, b)]
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(cov[0] + cov[1] - 2 * scipy.linalg.sqrtm(cov[0] @ cov[1]).real)
    assert motion.frechet_distance(a, b) == pytest.approx(expected)
    assert motion.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert motion.frechet_distance(a, a + [3, 0, 0, 4]) == pytest.approx(25)
    one = motion.frechet_distance(np.array([[-1.0], [1]]), np.array([[-3.0], [3]]))
    assert one == pytest.approx((np.sqrt(18) - np.sqrt(2)) ** 2)  # (difference of the deviations)^2


def test_beats() -> None:
    assert sync.beat_alignment(np.array([1.0, 2]), np.array([1.0, 2]), 0.05) == 1
    assert sync.beat_alignment(np.array([1.0]), np.array([1.05, 1.0]), 0.05) == pytest.approx((np.exp(-0.5) + 1) / 2)
    assert np.isnan(sync.beat_alignment(np.array([]), np.array([1.0])))
    assert sync.audio_beats(np.array([0.0, 0, 0, 5, 5, 5, 0, 0, 4, 4]), fps=10).tolist() == [0.3, 0.8]
    points = np.zeros((61, 1, 3))
    points[:, 0, 1] = np.cos(2 * np.pi * (np.arange(61) + 0.5) / 30)  # turns round every half second
    assert np.allclose(sync.motion_beats(points, 30), [0.5, 1.0, 1.5], atol=0.02)


@pytest.mark.parametrize("late", [-3, 0, 2, 5])
def test_lag(late: int) -> None:
    x = np.convolve(np.random.default_rng(3).normal(size=400), np.hanning(9), "same")
    assert sync.lag_ms(x[20:320], x[20 - late : 320 - late], 30) == pytest.approx(late * 1000 / 30, abs=3)


def test_lag_between_frames_and_of_stillness() -> None:
    t = np.arange(300) / 30
    wave = [sum(np.sin(2 * np.pi * f * (t - s) + f) for f in (1.1, 2.3, 3.7)) for s in (0, 0.05)]
    assert sync.lag_ms(wave[0], wave[1], 30) == pytest.approx(50, abs=4)
    assert np.isnan(sync.lag_ms(wave[0], np.ones(300), 30))


def test_speech_energy() -> None:
    samples = np.zeros(16000)
    samples[8000:] = 0.5
    energy = sync.speech_energy(samples, 16000, 20, 20)
    assert energy[-2] == pytest.approx(np.log(0.5)) and energy[0] == pytest.approx(np.log(0.0005))
    assert motion.real_time_factor(1.0, 4.0) == 0.25


# ---- faults planted in a prediction, and pooling

FPS = 30.0


def smooth(x: np.ndarray, width: int) -> np.ndarray:
    window = np.hanning(width + 2)[1:-1]
    return np.apply_along_axis(
        lambda c: np.convolve(np.pad(c, width // 2, mode="edge"), window / window.sum(), "valid"), 0, x
    )


def talking(seed: int, seconds: float = 12.0) -> tuple[np.ndarray, score.Face]:
    """A head of 8 lip and 8 forehead vertices that talks: frames (T, 16, 3) in centimetres."""
    rng = np.random.default_rng(seed)
    neutral = np.random.default_rng(9).normal(size=(16, 3))
    count = int(seconds * FPS)
    opening = np.maximum(smooth(rng.normal(size=(count, 1)), 7)[:, 0] * 2.0, 0)
    brows = smooth(rng.normal(size=(count, 1)), 25)[:, 0]
    frames = np.repeat(neutral[None], count, axis=0)
    frames[:, 4:8, 1] -= opening[:, None]  # lower lip
    frames[:, 8:, 1] += 0.5 * brows[:, None]
    pairs = np.arange(4), np.arange(4, 8)
    axes = np.zeros((2, 16, 3))
    axes[0, 4:8, 1], axes[1, 8:, 1] = 0.5, np.sqrt(1 / 8)
    rest = float((frames[:, pairs[0], 1] - frames[:, pairs[1], 1]).mean())
    return frames, score.Face(neutral, MM, np.arange(8), pairs, np.arange(8, 16), rest, axes)


def predicted(truth: np.ndarray, seed: int = 5) -> np.ndarray:
    """A fair prediction: the truth and a smooth error."""
    return truth + 0.08 * smooth(np.random.default_rng(seed).normal(size=(len(truth), 48)), 9).reshape(truth.shape)


def values_of(prediction: np.ndarray, truth: np.ndarray, face: score.Face) -> dict[str, float]:
    one = score.score_shot(
        ("a", "demo", "joy"), truth, prediction, face, FPS, face.opening(truth)
    )  # sound follows the mouth
    return {**one.values, "frechet_differences_mm2": motion.frechet_distance(*(np.diff(p, axis=0) for p in one.poses))}


def test_a_perfect_prediction_reaches_the_best_value_of_every_metric() -> None:
    truth, face = talking(0)
    for name, value in values_of(truth, truth, face).items():
        if (best := score.METRICS[name].best) is not None:
            assert value == pytest.approx(best, abs=1e-6), name


def test_distributions_of_actors_are_compared_each_in_its_own_axes() -> None:
    truth, face = talking(2)
    fewer = replace(face, axes=face.axes[:1])
    shots = (("a", "ann", "joy"), face, truth), (("b", "bob", "joy"), fewer, truth[:180])
    scores = [score.score_shot(name, true, predicted(true), of, FPS, None) for name, of, true in shots]
    alone = [score.pool([one])["frechet_poses_mm2"]["value"] for one in scores]
    expected = (360 * alone[0] + 180 * alone[1]) / 540
    assert score.pool(scores)["frechet_poses_mm2"]["value"] == pytest.approx(expected)


def test_planted_faults_move_the_metric_meant_for_them() -> None:
    truth, face = talking(1)
    fair = predicted(truth)
    base = values_of(fair, truth, face)

    late = values_of(np.concatenate([fair[:1], fair[:1], fair[:-2]]), truth, face)
    assert late["lag_behind_truth_ms"] - base["lag_behind_truth_ms"] == pytest.approx(2000 / FPS, abs=6)
    assert late["audio_mouth_lag_ms"] - base["audio_mouth_lag_ms"] == pytest.approx(2000 / FPS, abs=6)
    assert late["lip_jerk_ratio"] == pytest.approx(base["lip_jerk_ratio"], rel=0.1)
    assert late["lip_distance_dtw_mm"] < 0.6 * late["mouth_opening_error_mm"]

    smoothed = values_of(smooth(fair.reshape(len(fair), -1), 13).reshape(fair.shape), truth, face)
    assert smoothed["lip_jerk_ratio"] < 0.4 * base["lip_jerk_ratio"]
    assert smoothed["lip_closure_error_mm"] > 3 * base["lip_closure_error_mm"]
    assert smoothed["frechet_differences_mm2"] > 3 * base["frechet_differences_mm2"]
    assert abs(smoothed["lag_behind_truth_ms"]) < 6

    jitter = values_of(fair + 0.05 * np.random.default_rng(7).normal(size=fair.shape), truth, face)
    assert jitter["lip_jerk_ratio"] > 2 * base["lip_jerk_ratio"]
    assert jitter["lip_velocity_error_mm_s"] > 2 * base["lip_velocity_error_mm_s"]
    assert jitter["mouth_opening_correlation"] > 0.95
    assert abs(jitter["lag_behind_truth_ms"]) < 6

    still = fair.copy()
    still[:, 8:] = face.neutral[8:]
    frozen = values_of(still, truth, face)
    assert frozen["upper_face_dynamics_deviation"] > 3 * abs(base["upper_face_dynamics_deviation"])
    assert frozen["upper_face_dynamics_error_mm"] > 3 * base["upper_face_dynamics_error_mm"]
    assert frozen["lip_vertex_error_mm"] == base["lip_vertex_error_mm"]

    other = values_of(fair + np.random.default_rng(8).normal(size=(16, 3)), truth, face)  # another person's face
    assert other["mean_vertex_error_mm"] > 5 * base["mean_vertex_error_mm"]
    assert other["mouth_opening_correlation"] == pytest.approx(base["mouth_opening_correlation"])


def faulty(fair: np.ndarray) -> dict[str, np.ndarray]:
    """A fair prediction (T, V, 3) with each fault planted in it."""
    flat = fair.reshape(len(fair), -1)
    return {
        "fair": fair,
        "two frames late": np.concatenate([fair[:1], fair[:1], fair[:-2]]),
        "over-smoothed": smooth(flat, 13).reshape(fair.shape),
        "jitter": fair + 0.05 * np.random.default_rng(7).normal(size=fair.shape),
        "another person": fair + 1.5 * np.random.default_rng(8).normal(size=(16, 3)),
    }


def test_the_report_names_planted_faults_and_shows_their_numbers() -> None:
    rows: dict[str, list[score.ShotScore]] = {}
    bilabials = [(1.0, 1.1), (2.0, 2.1)]
    for seed in (1, 2, 3):
        truth, face = talking(seed)
        still = np.repeat(truth.mean(axis=0)[None], len(truth), axis=0)
        for name, frames in {**faulty(predicted(truth)), MEAN_POSE: still, TRUTH: truth}.items():
            found = score.score_shot(
                (f"s{seed}", "demo", "joy"), truth, frames, face, FPS, face.opening(truth), bilabials
            )
            rows.setdefault(name, []).append(found)
    systems = [System(n, "reference" if n in (MEAN_POSE, TRUTH) else "run", scores) for n, scores in rows.items()]
    evaluation = Evaluation("demo", systems, None, {"demo": 1000 / MM}, ["m, b and p: times from <nobody>"])

    found = evaluation.findings
    assert [line for line in found["fair"] if not line.startswith("Upper face")] == []
    assert [line.split(":")[0] for line in found["two frames late"]][0] == "Timing"
    assert "(2.0 frames) late" in found["two frames late"][0]
    assert any(line.startswith("Motion: too smooth") for line in found["over-smoothed"])
    assert [line.split(":")[0] for line in found["jitter"]] == ["Motion"] and "jitters" in found["jitter"][0]
    assert any(line.startswith("Face: it is") for line in found["another person"])
    assert not any(line.startswith(("Timing", "Motion")) for line in found["another person"])

    page = html_report(evaluation, {("demo", "s1"): Video("data:video/mp4;base64,AA", "data:image/jpeg;base64,AA")})
    for lines in found.values():
        assert all(escape(line) in page for line in lines)
    for name in ("two frames late", "over-smoothed", "jitter", "another person"):  # side by side, in one table
        assert page.count(f">{name}</th>") >= 1
    for key in ("lag_behind_truth_ms", "lip_jerk_ratio", "lip_closure_mbp_error_mm", "mean_vertex_error_mm"):
        assert score.METRICS[key].label in page
    assert "&lt;nobody&gt;" in page and page.count("<video") == 1 and "https" not in page
    numbers = json_report(evaluation)
    assert numbers["findings"] == found
    late = numbers["systems"]["two frames late"]["all"]["lag_behind_truth_ms"]
    assert late["low"] < late["value"] < late["high"] and late["value"] == pytest.approx(2000 / FPS, abs=6)


def test_pooling_is_over_all_frames_together() -> None:
    scores, truths, ours = [], [], []
    for seed, seconds in ((0, 5.0), (1, 9.0), (2, 3.0)):
        truth, face = talking(seed, seconds)
        fair = predicted(truth, seed + 10)
        scores.append(score.score_shot((f"s{seed}", "demo", "joy"), truth, fair, face, FPS, None))
        truths.append(truth)
        ours.append(fair)
    whole = np.concatenate(truths), np.concatenate(ours)
    pooled = score.pool(scores)
    opening = [face.opening(x) for x in whole]
    assert pooled["mouth_opening_correlation"]["value"] == pytest.approx(np.corrcoef(*opening)[0, 1])
    assert pooled["mouth_opening_error_mm"]["value"] == pytest.approx(regions.mouth_opening_error_mm(*opening, MM))
    assert pooled["lip_vertex_error_mm"]["value"] == pytest.approx(errors.lip_vertex_error_mm(*whole, face.lips, MM))
    assert pooled["lip_vertex_error_rms"]["value"] == pytest.approx(errors.lip_vertex_error_rms(*whole, face.lips))
    for entry in pooled.values():
        assert entry["low"] is None or entry["low"] <= entry["value"] <= entry["high"]
    assert score.pool(scores) == pooled
    assert score.pool(scores[:1])["lip_vertex_error_mm"]["low"] is None


def test_confidence_intervals_hold_the_mean_about_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(4), 0
    for _ in range(60):
        values = rng.normal(3, 1, size=25)
        rows = [
            score.ShotScore(str(i), "a", "joy", 1, {"mean_vertex_error_mm": v}, {"mean_vertex_error_mm": 1})
            for i, v in enumerate(values)
        ]
        entry = score.pool(rows, resamples=300)["mean_vertex_error_mm"]
        hits += entry["low"] < 3 < entry["high"]
    assert 50 <= hits <= 60


def test_shots_without_vertex_lists_get_what_can_be_measured() -> None:
    truth, face = talking(0, 2.0)
    bare = score.Face(face.neutral, MM)
    one = score.score_shot(("a", "demo", "joy"), truth, predicted(truth), bare, FPS, None)
    assert list(one.values) == ["mean_vertex_error_mm"] and list(score.pool([one])) == ["mean_vertex_error_mm"]
    (line,) = Evaluation("demo", [System("run_1", "run", [one])], None, {"demo": 1000 / MM}).summary()
    assert line == f"run_1: {score.METRICS['mean_vertex_error_mm'].label} {one.values['mean_vertex_error_mm']:.3g} mm"


def test_baselines() -> None:
    coeffs = np.arange(12.0).reshape(4, 3)
    assert baselines.mean_pose(coeffs, 2).tolist() == [[4.5, 5.5, 6.5]] * 2
    training = np.array([[0.0, 0], [5, 5], [9, 1]])
    query = np.array([[8.0, 2], [1, -1], [4, 6]])
    by_distance = np.linalg.norm(query[:, None] - training[None], axis=2).argmin(axis=1)
    assert baselines.nearest_frames(query, training).tolist() == by_distance.tolist()
    sound = np.random.default_rng(0).normal(size=16000) * np.linspace(0, 1, 16000)
    features = baselines.energy_features(sound, 16000, 30, 30)
    assert features.shape == (30, 5) and features[25].mean() > features[5].mean()
