"""Curves evaluated: metrics against closed forms, what is unknown, planted faults, truth and baselines, the command."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from html import escape
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from fakes.curves import BODY, FPS, curves_dataset
from fakes.project import REGRESSION, use_project, write_configs

from audio2face.commands import evaluate, preproc, train
from audio2face.evaluation import curve_metrics as metrics
from audio2face.evaluation.baselines import MEAN_POSE
from audio2face.evaluation.curve_data import GroupSource
from audio2face.evaluation.curve_pool import pool_columns, pool_curves
from audio2face.evaluation.curve_report import CurveResults, curve_json
from audio2face.evaluation.curve_score import CURVE_METRICS, scale_of, score_curves
from audio2face.evaluation.report import TRUTH, Evaluation, System, html_report, json_report
from audio2face.face.codec import Channel
from audio2face.face.curves import Block, CurveGroup, skeleton_group
from audio2face.face.rotations import from_euler, geodesic_degrees
from audio2face.problems import UserError
from audio2face.types import Clip, Shot

ARKIT = CurveGroup("arkit", (Block("weights", ("jawOpen", "mouthSmileLeft", "tongueOut"), low=0, high=1),))
HEAD = CurveGroup("head", (Block("rotation", ("HeadYaw", "HeadPitch", "HeadRoll"), "YXZ", "radians"),))
SPIN = CurveGroup("spin", (Block("angle", ("wheel",), unit="degrees"), Block("plain", ("push",))))
GROUPS = {"arkit": ARKIT, "head": HEAD, "body": skeleton_group("body", BODY), "spin": SPIN}
ALL = np.ones((4, 1), bool)


def smooth(count: int, columns: int, seed: int, width: int = 21) -> np.ndarray:
    """Smooth noise (count, columns) of spread 1 about 0."""
    window = np.hanning(width + 2)
    noise = np.random.default_rng(seed).normal(size=(count + width + 1, columns))
    found = np.apply_along_axis(lambda c: np.convolve(c, window, "valid"), 0, noise)[:count]
    return (found - found.mean(axis=0)) / found.std(axis=0)


def recorded(group: CurveGroup, count: int = 240, seed: int = 0) -> np.ndarray:
    """Raw values (count, D) that a group could have."""
    motion = smooth(count, len(group.names), seed)
    spread = {"arkit": 0.1, "head": 0.2, "body": 8.0, "spin": 30.0}[group.name]
    return (spread * motion + (0.4 if group.name == "arkit" else 0.0)).astype(np.float32)


def encoded(group: CurveGroup, raw: np.ndarray) -> np.ndarray:
    return group.encode(raw, np.ones(raw.shape, bool))[0]


def scored(group, raw, prediction, known=None, shot="a", actor="ann", shown=()):
    truth = encoded(group, raw)
    there = np.ones(truth.shape, bool) if known is None else known
    scale = scale_of(group, truth, there)
    return score_curves((shot, actor, "joy"), truth, there, encoded(group, prediction), scale, FPS, shown)


def value(scores, key: str) -> float:
    return pool_curves(scores)[key]["value"]


def test_sums_of_errors_have_the_values_of_their_formulas() -> None:
    truth, ours = np.array([[0.0], [1], [3], [3]]), np.array([[1.0], [1], [1], [0]])
    known = np.array([[True], [True], [True], [False]])
    assert metrics.absolute_error(truth, ours, known) == (3.0, 3.0)
    assert metrics.squared_error(truth, ours, known) == (5.0, 3.0)
    assert metrics.relative_error(truth, ours, np.array([1.0]), known) == (5.0, 1.0 + 0 + 4)
    assert metrics.velocity_error(truth, ours, known, 10.0) == (pytest.approx(10 * (1 + 2)), 2.0)
    cubic = np.arange(4.0)[:, None] ** 3
    assert metrics.jerk(cubic, 2 * cubic, ALL) == (12.0, 6.0)
    assert metrics.jerk(cubic, cubic, known) == (0.0, 0.0)


def test_angles_between_rotations_are_those_of_the_turn() -> None:
    times = np.arange(4.0)
    turns = [
        from_euler(np.stack([rate * times, 0 * times, 0 * times], axis=1), "YXZ", degrees=True) for rate in (2.0, 5.0)
    ]
    total, count = metrics.angle_error(*(t[:, None] for t in turns), ALL)
    assert total / count == pytest.approx(3.0 * (0 + 1 + 2 + 3) / 4)
    total, count = metrics.angular_velocity_error(*(t[:, None] for t in turns), ALL, 30.0)
    assert total / count == pytest.approx(3.0 * 30)


def test_joints_are_compared_where_they_are() -> None:
    truth = np.zeros((2, 2, 3))
    ours = truth + [3.0, 4.0, 0.0]
    ours[:, 1, 2] = 12.0
    total, count = metrics.joint_error(truth, ours, np.array([True, False]))
    assert (total, count) == (5.0 + 13.0, 2.0)
    assert metrics.joint_error(truth, ours, np.array([True, False]), centred=True) == (12.0, 2.0)


def test_correlations_pool_over_all_frames_that_are_known() -> None:
    rng, scores, sides = np.random.default_rng(0), [], []
    for number, count in enumerate((90, 200, 60)):
        raw, fair = (
            recorded(ARKIT, count, number),
            recorded(ARKIT, count, number) + recorded(ARKIT, count, 9 + number) / 3,
        )
        known = rng.random(raw.shape) < 0.8
        scores.append(scored(ARKIT, raw, fair, known, f"s{number}", shown=("jawOpen",)))
        sides.append((raw[known[:, 0], 0], fair[known[:, 0], 0]))
    true, ours = (np.concatenate(side) for side in zip(*sides, strict=True))
    columns, pooled = pool_columns(scores), pool_curves(scores)
    assert columns["jawOpen"]["correlation"] == pytest.approx(scipy.stats.pearsonr(true, ours)[0])
    assert columns["jawOpen"]["rms_error"] == pytest.approx(np.sqrt(np.mean((true - ours) ** 2)))
    assert columns["jawOpen"]["mean_absolute_error"] == pytest.approx(np.abs(true - ours).mean())
    assert columns["jawOpen"]["true_spread"] == pytest.approx(true.std()) and columns["jawOpen"]["frames"] == len(true)
    assert pooled["headline_correlation"]["value"] == pytest.approx(columns["jawOpen"]["correlation"])
    assert pooled["correlation"]["value"] == pytest.approx(np.mean([c["correlation"] for c in columns.values()]))
    for entry in pooled.values():
        assert entry["low"] is None or entry["low"] <= entry["value"] <= entry["high"]


@pytest.mark.parametrize("name", GROUPS)
def test_a_perfect_prediction_reaches_the_best_of_every_metric_and_the_mean_pose_its_own_error(name: str) -> None:
    group = GROUPS[name]
    raw = recorded(group)
    for key, entry in pool_curves([scored(group, raw, raw)]).items():
        if (best := CURVE_METRICS[key].best) is not None:
            assert entry["value"] == pytest.approx(best, abs=2e-3), key
    truth = encoded(group, raw)
    known = np.ones(truth.shape, bool)
    scale = scale_of(group, truth, known)
    still = score_curves(("a", "ann", "joy"), truth, known, np.tile(scale.mean, (len(truth), 1)), scale, FPS)
    assert value([still], "relative_error") == pytest.approx(1.0) and value([still], "activity_ratio") == 0
    assert "correlation" not in pool_curves([still]) and value([still], "jerk_ratio") == 0


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("poison", [1e6, np.nan, np.inf])
def test_what_stands_at_unknown_values_changes_no_metric_by_a_bit(name: str, poison: float) -> None:
    group = GROUPS[name]
    truth = encoded(group, recorded(group))
    ours = encoded(group, recorded(group) + 0.2 * recorded(group, seed=5))
    known = np.ones(truth.shape, bool)
    known[30:41], known[100, : truth.shape[1] // 2], known[:3] = False, False, False
    shown = tuple(group.names[:1])
    found = []
    for wrong in (0.0, poison):
        poisoned = np.where(known, truth, np.float32(wrong))
        with np.errstate(invalid="ignore"):
            scale = scale_of(group, poisoned, known)
        score = score_curves(("a", "ann", "joy"), poisoned, known, ours, scale, FPS, shown)
        found.append(json.dumps([pool_curves([score, replace(score, shot="b")]), pool_columns([score])]))
    assert found[0] == found[1] and "NaN" not in found[0]


def test_the_head_is_measured_in_degrees_and_its_columns_too() -> None:
    raw = recorded(HEAD)
    ours = raw + np.array([0.05, 0.0, 0.0], np.float32)  # yaw, which is turned first
    score = scored(HEAD, raw, ours)
    assert value([score], "rotation_error_deg") == pytest.approx(np.degrees(0.05), rel=1e-3)
    columns = pool_columns([score])
    assert columns["HeadYaw"]["mean_absolute_error"] == pytest.approx(np.degrees(0.05), rel=1e-3)
    assert columns["HeadYaw"]["unit"] == "°" and columns["HeadPitch"]["rms_error"] == pytest.approx(0, abs=1e-3)
    sides = [from_euler(side, "YXZ") for side in (raw, ours)]
    assert value([score], "rotation_error_deg") == pytest.approx(geodesic_degrees(*sides).mean(), rel=1e-3)
    quaternion = CurveGroup("head", (Block("rotation", ("x", "y", "z", "w"), "quaternion"),))
    turned = [quaternion.blocks[0].turned(side).astype(np.float32) for side in sides]
    other = scored(quaternion, *turned)
    assert value([other], "rotation_error_deg") == pytest.approx(value([score], "rotation_error_deg"), rel=1e-3)
    assert list(pool_columns([other])) == ["x about x", "x about y", "x about z"]


def test_angles_that_are_a_whole_turn_off_are_right() -> None:
    raw = recorded(SPIN)
    raw[:, 0] += 4 * np.arange(len(raw))  # round and round
    ours = raw + np.array([720.0, 0.0], np.float32)
    score = scored(SPIN, raw, ours)
    assert value([score], "mean_absolute_error") == pytest.approx(0, abs=1e-3)
    assert pool_columns([score])["wheel"]["rms_error"] == pytest.approx(0, abs=1e-3)


def test_planted_faults_move_the_metric_meant_for_them_and_are_named() -> None:
    faults: dict[str, list] = {}
    for seed in (1, 2, 3):
        raw = recorded(ARKIT, seed=seed)
        fair = raw + 0.3 * recorded(ARKIT, seed=10 + seed) - 0.12
        noise = np.random.default_rng(seed).normal(size=raw.shape).astype(np.float32)
        told = {
            "fair": fair,
            "late": np.concatenate([fair[:1]] * 3 + [fair[:-3]]),
            "jitter": fair + 0.03 * noise,
            "timid": 0.4 + 0.2 * (fair - 0.4),
            "deaf": recorded(ARKIT, seed=90 + seed),
            MEAN_POSE: np.repeat(raw.mean(axis=0, keepdims=True), len(raw), axis=0),
            TRUTH: raw,
        }
        for name, prediction in told.items():
            score = scored(ARKIT, raw, prediction, shot=f"s{seed}", shown=("jawOpen", "mouthSmileLeft"))
            faults.setdefault(name, []).append(score)
    of = {name: pool_curves(scores) for name, scores in faults.items()}
    assert of["late"]["lag_behind_truth_ms"]["value"] == pytest.approx(3000 / FPS, abs=10)
    assert of["jitter"]["jerk_ratio"]["value"] > 2 > 1.3 > of["fair"]["jerk_ratio"]["value"]
    assert of["jitter"]["velocity_error"]["value"] > 2 * of["fair"]["velocity_error"]["value"]
    assert of["timid"]["activity_ratio"]["value"] < 0.3 and of["fair"]["activity_ratio"]["value"] == pytest.approx(
        1, abs=0.15
    )
    assert of["timid"]["headline_correlation"]["value"] == pytest.approx(of["fair"]["headline_correlation"]["value"])
    assert of["deaf"]["relative_error"]["value"] > 1.3 > 0.5 > of["fair"]["relative_error"]["value"]
    assert of["timid"]["frechet_poses"]["value"] > 5 * of["fair"]["frechet_poses"]["value"]
    assert of["jitter"]["frechet_differences"]["value"] > 5 * of["fair"]["frechet_differences"]["value"]

    results = CurveResults("arkit", "weights", "", ("jawOpen", "mouthSmileLeft"), faults)
    systems = [System(name, "reference" if name in (MEAN_POSE, TRUTH) else "run", []) for name in faults]
    evaluation = Evaluation("demo", systems, None, {"ann": 100.0}, curves={"arkit": results})
    found = evaluation.findings
    assert found["fair"] == []
    for name, words in (("late", " ms late"), ("jitter", "they jitter"), ("timid", "as far as the true ones")):
        assert any(words in line for line in found[name]), name
    assert any("no better than the mean pose" in line for line in found["deaf"])
    page, numbers = html_report(evaluation), json_report(evaluation)
    assert all(escape(line) in page for lines in found.values() for line in lines)
    assert (
        "Curves: arkit" in page
        and "All shots" not in page
        and page.count("<svg") == 4
        and "jawOpen, correlation" in page
    )
    assert {s["shot"] for s in numbers["shots"]} == {"s1", "s2", "s3"} and numbers["systems"]["fair"]["all"] == {}
    assert numbers["curves"]["arkit"] == json.loads(json.dumps(curve_json(results)))
    assert any("fair, arkit: jawOpen, correlation" in line for line in evaluation.summary())


def group_source(raw: np.ndarray, known: np.ndarray | None = None, **keys) -> GroupSource:
    values = ARKIT.encode(raw, np.ones(raw.shape, bool) if known is None else known)
    run = SimpleNamespace(actor="ann", group_values=lambda shot, group: values if shot == "a" else None)
    shot = Shot("ann", "a", len(raw), 30.0, "joy")
    return GroupSource(run, Channel("arkit", "curves", 3, group=ARKIT), [Clip(shot, 0, len(raw) - 1, None)], **keys)


def test_the_truth_is_resampled_as_targets_are_and_knows_what_is_missing() -> None:
    raw = np.linspace(0, 1, 60, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    known = np.ones(raw.shape, bool)
    known[20:30, 1] = False
    source = group_source(raw, known)
    times = (np.arange(30) + 0.5) / 15
    values, there = source.truth_at(source.training[0], times)
    np.testing.assert_allclose(values[:, 0], (raw[0::2, 0] + raw[1::2, 0]) / 2, atol=1e-6)  # between two frames
    assert there[:, 0].all() and not there[10:15, 1].any() and there[:10, 1].all()
    clip = replace(source.training[0], shot=Shot("ann", "b", 60, 30.0, "joy"))
    assert source.truth_at(clip, times) is None


def test_baselines_are_the_mean_and_the_frame_that_is_as_loud() -> None:
    raw = np.repeat(np.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], np.float32), 30, axis=0)
    source = group_source(raw)
    loud = (np.arange(60) >= 30).astype(float)[:, None] * np.ones((1, 5))
    found = source.baselines(loud[::-1], [loud])
    np.testing.assert_allclose(found.pop(MEAN_POSE), np.broadcast_to([0.5, 0.5, 0.5], (60, 3)), atol=1e-6)
    (nearest,) = found.values()
    np.testing.assert_allclose(nearest, raw[::-1])
    assert source.shown[0] == "jawOpen"


# ---- the command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project of curves alone, preprocessed and trained with one shot held out: (its root, training run)."""
    root, patch = tmp_path_factory.mktemp("curves"), pytest.MonkeyPatch()
    keys = {"TARGET_CHANNELS": ["arkit", "head", "body"], "NUM_EPOCHS": 2, "VALIDATION_CLIPS": ["three_joy"]}
    write_configs(
        root,
        dataset=curves_dataset([root / "datasets/ann"]),
        preproc={"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)},
        train={**REGRESSION, **keys},
        inference={},
    )
    use_project(root, patch)
    preproc.run("tiny", "ann")
    yield root, train.run("tiny").run
    patch.undo()


def test_previews_of_a_training_show_the_curves(trained) -> None:
    root, run = trained
    folder = root / "workspace/output_train" / run
    assert {p.name for p in (folder / "previews").iterdir()} >= {"epoch_002.mp4", "epoch_002.png"}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(-1 <= line["jaw_open_correlation"] <= 1 and line["CURVES"] > 0 for line in lines)


def test_curves_alone_are_evaluated(trained) -> None:
    root, run = trained
    folder = root / "workspace/output_evaluate" / evaluate.run("tiny", run)
    report = json.loads((folder / "report.json").read_text())
    assert report["shots"] == [{"actor": "ann", "shot": "three_joy", "emotion": "joy", "seconds": 2.0}]
    assert list(report["curves"]) == ["arkit", "head", "body"]
    for group, keys in {
        "arkit": {"headline_correlation", "mean_absolute_error", "frechet_poses", "real_time_factor"},
        "head": {"rotation_error_deg", "rotation_velocity_error_deg_s", "activity_ratio"},
        "body": {"joint_error", "joint_error_centred", "rotation_error_deg", "jerk_ratio"},
    }.items():
        systems = report["curves"][group]["systems"]
        assert list(systems) == [run, MEAN_POSE, "nearest training frame by loudness", TRUTH]
        assert keys <= systems[run]["all"].keys()
        assert systems[TRUTH]["all"]["relative_error"]["value"] == pytest.approx(0, abs=1e-9)
    assert report["curves"]["arkit"]["shown"][0] == "jawOpen"
    arkit = report["curves"]["arkit"]["systems"]
    assert "tongueOut" not in arkit[run]["columns"]  # never seen
    nearest = arkit["nearest training frame by loudness"]["all"]
    assert nearest["headline_correlation"]["value"] > 0.8  # the jaw follows the loudness
    page = (folder / "report.html").read_text()
    assert page.count("<video") == 1 and "<script" not in page and "Curves: body" in page
    assert [p.name for p in (folder / "videos").iterdir()] == ["ann_three_joy.mp4"]
    with (folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    row = next(r for r in rows if (r["group"], r["column"], r["system"]) == ("arkit", "jawOpen", run))
    assert float(row["rms_error"]) == arkit[run]["columns"]["jawOpen"]["rms_error"]


def test_new_recordings_of_curves_are_measured(trained, tmp_path) -> None:
    root, run = trained
    home = root / "datasets/ann"
    (tmp_path / "new/audio").mkdir(parents=True)
    shutil.copy(home / "audio/three_joy.wav", tmp_path / "new/audio/monday.wav")
    for group, suffix in (("arkit", "npz"), ("body", "bvh")):
        (tmp_path / f"new/curves/{group}").mkdir(parents=True)
        shutil.copy(home / group / f"three_joy.{suffix}", tmp_path / f"new/curves/{group}/monday.{suffix}")
    reports = []
    for data in (None, str(tmp_path / "new")):
        folder = root / "workspace/output_evaluate" / evaluate.run("tiny", run, videos=0, data=data, emotion="joy")
        reports.append(json.loads((folder / "report.json").read_text()))
    assert [shot["shot"] for shot in reports[1]["shots"]] == ["monday"] and list(reports[1]["curves"]) == [
        "arkit",
        "body",
    ]
    for group in ("arkit", "body"):
        old, new = (r["curves"][group]["systems"][run]["all"] for r in reports)
        assert new["relative_error"]["value"] == pytest.approx(old["relative_error"]["value"], rel=1e-4)
    shutil.rmtree(tmp_path / "new/curves")
    with pytest.raises(UserError, match="curves/<group>/<shot>.csv"):
        evaluate.run("tiny", run, data=str(tmp_path / "new"))
