"""How motion is distributed: closed forms of normal distributions, a second implementation, resampling, who speaks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import gamma, sqrt

import numpy as np
import pytest
import scipy.linalg

from audio2face.evaluation.conversation import speaking_at
from audio2face.evaluation.curve_pool import pool_curves
from audio2face.evaluation.curve_report import CurveResults, curve_json, curve_section
from audio2face.evaluation.curve_score import best_take, scale_of, score_curves, takes_variance
from audio2face.evaluation.distributions import (
    frechet_distances,
    pair_distances,
    some_frames,
    variance_over_takes,
    variance_over_time,
)
from audio2face.evaluation.motion import frechet_distance
from audio2face.evaluation.score import drawings
from audio2face.face.curves import Block, CurveGroup
from audio2face.formats.sound import write_sound
from audio2face.types import Clip, Partner, Shot, Track

FPS = 30.0
ONCE = np.ones((1, 1))


def normal(count: int, mean, spread, seed: int) -> np.ndarray:
    """Rows (count, K) with exactly this mean (K,) and covariance spread @ spread.T (K, K)."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.asarray(spread, np.float64).T + mean


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_frechet_distance_of_normal_distributions_is_the_closed_form() -> None:
    """Of covariances that commute: |mean difference|^2 + sum of squared differences of the spreads."""
    a, b = normal(400, [0, 0, 0], np.diag([1, 2, 3]), 0), normal(300, [3, 0, 4], np.diag([2, 2, 1]), 1)
    assert frechet_distances([a], [b], ONCE)[0] == pytest.approx(25 + 1 + 0 + 4)
    assert frechet_distances([a], [a], ONCE)[0] == pytest.approx(0, abs=1e-9)


def test_frechet_distances_of_drawings_are_those_of_the_shots_drawn() -> None:
    """Against rows put together, with the matrix root of another library."""
    skew = rng(3).normal(size=(4, 4))
    truth = [rng(n).normal(size=(30 + 10 * n, 4)) @ skew for n in range(4)]
    ours = [0.7 * rng(10 + n).normal(size=x.shape) + x[:, ::-1] for n, x in enumerate(truth)]
    counts, _ = drawings([("ann", str(n)) for n in range(4)], 6)
    found = frechet_distances(truth, ours, counts)
    for row, value in zip(counts.astype(int), found, strict=True):
        a, b = (np.concatenate([x for x, n in zip(side, row, strict=True) for _ in range(n)]) for side in (truth, ours))
        covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        cross = np.trace(scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real)
        expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * cross
        assert value == pytest.approx(expected, rel=1e-6) == frechet_distance(a, b)
    assert np.isnan(frechet_distances([truth[0][:7]], [ours[0][:7]], ONCE)).all()  # too few for a covariance


@pytest.mark.parametrize("columns", [1, 2, 8, 50])
def test_distance_of_two_poses_of_a_normal_distribution_is_the_closed_form(columns: int) -> None:
    """E|x - y| = 2 Gamma((K + 1) / 2) / Gamma(K / 2) for x, y of spread 1 in K columns."""
    shots = [rng(n).normal(size=(2000, columns)) for n in range(3)]
    found = pair_distances(shots, [2000] * 3, "abc", np.ones((1, 3)), rng())[0]
    assert found == pytest.approx(2 * gamma((columns + 1) / 2) / gamma(columns / 2), rel=0.03)


def test_pairs_are_drawn_by_length_and_resampled_with_their_shots() -> None:
    """Still shots: the distance of two of their poses is known by which shots they are from."""
    shots, lengths = [np.full((256, 1), value) for value in (0.0, 1.0, 5.0)], [100, 300, 600]
    share = np.array(lengths) / 1000
    expected = sum(
        share[a] * share[b] * abs(shots[a][0, 0] - shots[b][0, 0]) for a, b in itertools.product(range(3), repeat=2)
    )
    counts, _ = drawings([("ann", name) for name in "abc"], 1000)
    found = pair_distances(shots, lengths, "abc", counts, rng())
    assert found[0] == pytest.approx(expected, abs=0.06)
    assert found[1:].min() == 0 and found[1:].max() > found[0]  # one shot thrice; the two that are far apart
    assert found.tolist() == pair_distances(shots, lengths, "abc", counts, rng()).tolist()
    assert np.isnan(pair_distances([np.zeros((1, 2))], [1], "a", ONCE, rng())).all()


def test_the_interval_of_pairs_lies_about_the_value_though_copies_of_a_shot_are_alike() -> None:
    """Shots about means of their own, two takes of each."""
    means = rng(1).normal(size=(8, 3))
    shots = [mean + 0.3 * rng(n).normal(size=(256, 3)) for n, mean in enumerate(np.repeat(means, 2, axis=0))]
    names = [str(n // 2) for n in range(16)]
    counts, _ = drawings([("ann", name) for name in names], 1000)
    found = pair_distances(shots, [256] * 16, names, counts, rng())
    assert found[1:].mean() == pytest.approx(found[0], rel=0.02)


def test_variance_over_time_and_over_takes() -> None:
    times = np.arange(300.0)[:, None]
    swing = np.concatenate([2 * np.sin(times * 2 * np.pi / 30), times * 0 + 7], axis=1)
    known = np.ones(swing.shape, bool)
    total, count = variance_over_time(swing, known)
    assert total / count == pytest.approx((2**2 / 2 + 0) / 2)
    known[::2, 0] = False
    poisoned = np.where(known, swing, np.nan)
    total, count = variance_over_time(poisoned, known)
    assert count == 450 and total == pytest.approx(np.var(swing[1::2, 0]) * 150)

    takes = rng().normal(0, 3, size=(40, 200, 5))
    total, count = variance_over_takes(list(takes))
    assert total / count == pytest.approx(9 * 39 / 40, rel=0.05) == takes.var(axis=0).mean()
    assert variance_over_takes([takes[0]] * 3)[0] == pytest.approx(0, abs=1e-9)


def test_frames_for_pairs_are_spread_over_the_shot() -> None:
    rows = np.arange(1000.0)[:, None]
    chosen = some_frames(rows)[:, 0]
    assert len(chosen) == 256 and chosen[0] == 0 and chosen[-1] == 999 and np.diff(chosen).max() <= 5
    assert len(some_frames(rows[:3])) == 3 and some_frames(rows[:0]).shape == (0, 1)


# ---- of groups of curves

CODES = CurveGroup("codes", (Block("plain", ("a", "b", "c", "d")),))


def scored(truth: np.ndarray, ours: np.ndarray, scale, shot: str = "one", speaking: np.ndarray | None = None):
    known = np.ones(truth.shape, bool)
    return score_curves((shot, "ann", "neutral"), truth, known, ours, scale, FPS, (), speaking)


def training(seed: int = 50) -> np.ndarray:
    return normal(2000, [1, -2, 3, 0], np.diag([0.5, 1, 1, 2]), seed).astype(np.float32)


def test_columns_of_any_size_weigh_alike() -> None:
    """Distances and variety are in the spreads of the training frames."""
    values = training()
    scale = scale_of(CODES, values, np.ones(values.shape, bool))
    shots = [scored(training(n), training(n) * [1, 1, 1, 2], scale, f"s{n}") for n in range(3)]
    pooled = pool_curves(shots)
    assert pooled["frechet_poses"]["value"] == pytest.approx(1, rel=0.01)  # one of the spreads is 2
    assert pooled["frechet_differences"]["value"] == pytest.approx(2, rel=0.1)  # noise: differences spread by sqrt 2
    assert pooled["temporal_variance"]["value"] == pytest.approx((1 + 1 + 1 + 4) / 4, rel=0.01)
    true = pool_curves([scored(training(n), training(n), scale, f"s{n}") for n in range(3)])
    assert true["pose_diversity"]["value"] == pytest.approx(2 * gamma(2.5) / gamma(2), rel=0.03)
    assert true["frechet_poses"]["value"] == pytest.approx(0, abs=1e-6)
    for key in ("frechet_poses", "frechet_differences", "pose_diversity", "temporal_variance"):
        assert pooled[key]["low"] < pooled[key]["high"] and pooled[key]["low"] <= pooled[key]["value"] * 1.01


def test_the_interval_is_wide_where_shots_differ() -> None:
    values = training()
    scale = scale_of(CODES, values, np.ones(values.shape, bool))
    alike = [scored(training(n), training(n) * 1.1, scale, f"s{n}") for n in range(6)]
    apart = [scored(training(n), training(n) * (0.2 + 0.3 * n), scale, f"s{n}") for n in range(6)]
    for key in ("frechet_poses", "pose_diversity", "temporal_variance"):
        widths = [pool_curves(scores)[key] for scores in (alike, apart)]
        assert 5 * (widths[0]["high"] - widths[0]["low"]) < widths[1]["high"] - widths[1]["low"], key


def test_frames_are_measured_by_who_speaks_in_them() -> None:
    """A model that is right while the actor speaks and still while the partner does."""
    values = training()
    scale = scale_of(CODES, values, np.ones(values.shape, bool))
    who = np.array(["self", "partner", "silence", "silence"])[np.arange(2000) // 500]
    ours = np.where((who == "partner")[:, None], scale.mean, values).astype(np.float32)
    score = scored(values, ours, scale, speaking=who)
    assert list(score.speaking) == ["silence", "self", "partner"]
    own, other = (pool_curves([score.speaking[name]]) for name in ("self", "partner"))
    assert own["relative_error"]["value"] == pytest.approx(0, abs=1e-9)
    assert other["relative_error"]["value"] == pytest.approx(1, rel=0.01)
    assert other["temporal_variance"]["value"] == pytest.approx(0, abs=1e-9) == other["pose_diversity"]["value"]
    assert other["frechet_poses"]["value"] == pytest.approx(4, rel=0.3) and "lag_behind_truth_ms" not in own
    poisoned = np.where((who == "self")[:, None], ours, np.float32(1e6))
    again = scored(np.where((who == "self")[:, None], values, np.nan), poisoned, scale, speaking=who).speaking["self"]
    assert pool_curves([again]) == own

    results = CurveResults(
        "codes", "plain", "unit", (), {"run": [score], "truth": [scored(values, values, scale, speaking=who)]}
    )
    found = curve_json(results)["systems"]["run"]["by_speaking"]
    assert found == {"silence": pool_curves([score.speaking["silence"]]), "self": own, "partner": other}
    page = "".join(curve_section(results, ["run"], {"run": "c0"}))
    assert "the partner speaks<small>17 s" in page and "both speak" not in page
    assert "by_speaking" not in curve_json(
        CurveResults("codes", "plain", "", (), {"run": [scored(values, ours, scale)]})
    )


def test_variance_of_takes_is_in_spreads() -> None:
    values = training()
    scale = scale_of(CODES, values, np.ones(values.shape, bool))
    total, count = takes_variance([values, values + scale.scale], scale)
    assert sqrt(total / count) == pytest.approx(0.5)


def test_who_speaks_in_a_clip_is_told_from_both_sounds_with_their_offsets(tmp_path) -> None:
    rate, noise = 16000, np.random.default_rng(0).normal(size=(2, 6 * 16000))
    times = np.arange(6 * rate) / rate
    own, partner = (0.1 * noise[k] * ((times > a) & (times < b)) for k, (a, b) in enumerate([(1, 2), (2, 4)]))
    stereo = np.stack([own, partner], axis=1)
    write_sound(tmp_path / "both.wav", stereo, rate)
    write_sound(tmp_path / "other.wav", np.pad(partner, (rate, 0)), rate)  # a second late
    shot = Shot("ann", "a", 150, 30.0, "joy")
    one_file = Clip(shot, 0, 149, tmp_path / "both.wav", channel=0, partner=Partner(Track(tmp_path / "both.wav", 1)))
    two_files = replace(one_file, partner=Partner(Track(tmp_path / "other.wav"), 30))
    late = replace(one_file, audio_offset=12, partner=Partner(Track(tmp_path / "other.wav"), 30 + 12))
    found = [speaking_at(clip, 25.0, 150) for clip in (one_file, two_files, late)]
    expected = np.array(["silence"] * 25 + ["self"] * 25 + ["partner"] * 50 + ["silence"] * 50)
    for who in found:
        assert np.mean(who == expected) > 0.97
    assert speaking_at(replace(one_file, partner=None), 25.0, 150) is None


def test_the_best_take_is_that_with_the_least_error() -> None:
    values = training()
    scale = scale_of(CODES, values, np.ones(values.shape, bool))
    takes = [scored(values, values + np.float32(away) * scale.scale, scale) for away in (2.0, 0.5, 1.0)]
    total, weight = best_take(takes)
    assert total / weight == pytest.approx(0.25, rel=1e-3)
