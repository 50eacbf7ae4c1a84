"""What is odd in curves is found where it was put, and nothing else."""

import numpy as np
import pytest
from fakes.body import arm, body_arrays

from audio2face.audio.sync import find_lag, margin_frames, mel_energy
from audio2face.dataset.captured import CapturedGroup, ShotCurves
from audio2face.dataset.curve_checks import (
    check_body_mesh,
    check_groups,
    check_table,
    constant_columns,
    frozen_stretches,
    jaw_openings,
    jumps,
    share_missing,
)
from audio2face.dataset.curve_kinds import guess_blocks
from audio2face.dataset.sync_checks import check_sync
from audio2face.face.curves import CurveGroup, skeleton_group
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.curve_table import curve_table
from audio2face.problems import Problems

FPS, COUNT = 30.0, 600
NAMES = ("jawOpen", "mouthFunnel", "tongueOut", "HeadYaw", "HeadPitch", "HeadRoll")


def smooth(seed, columns=6):
    """(COUNT, columns) that move slowly between 0 and 0.6."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(COUNT + 20, columns))
    values = np.stack([np.convolve(column, np.hanning(21), "valid") for column in noise.T], axis=1)
    return 0.3 + 0.3 * values / np.abs(values).max(axis=0)


def found(values, valid=None, names=NAMES, kind=None, **more):
    table = curve_table(names, values, FPS, valid, **more)
    problems = Problems("anna")
    check_table(problems, CurveGroup("face", guess_blocks(names, table.values, table.valid, kind)), "s1", table)
    return {problem.rule: str(problem) for problem in problems}


def test_clean_curves():
    for seed in range(10):
        assert found(smooth(seed)) == {}
    assert found(smooth(0), times_s=np.arange(COUNT) / FPS) == {}


def test_units():
    for factor, word in (
        (100, "percent. Divide them by 100"),
        (255, "bytes. Divide them by 255"),
        (1e4, "not weights"),
    ):
        text = found(smooth(0)[:, :3] * factor, names=NAMES[:3])["curves.range"]
        assert word in text and text.startswith("anna, s1, CURVES_ROOT: face: weights up to")
    assert "down to" in found(smooth(0)[:, :3] - 0.6, names=NAMES[:3])["curves.negative"]
    assert "more than half a turn" in found(smooth(0)[:, 3:] * 10, names=NAMES[3:])["curves.unit"]
    told = {"kind": "rotation", "unit": "degrees"}
    assert "Radians?" in found(smooth(0)[:, 3:], names=NAMES[3:], kind=told)["curves.unit"]
    assert found(smooth(0)[:, :3] * 100, names=NAMES[:3], kind={"kind": "weights", "high": 100}) == {}


def test_frozen():
    values = smooth(1)
    values[100:140] = values[100]
    values[300:325] = values[300]  # less than a second
    table = curve_table(NAMES, values, FPS)
    assert frozen_stretches(table, FPS) == [(100, 139)]
    assert "frames 100-139" in found(values)["curves.frozen"]
    valid = np.ones(COUNT, bool)
    valid[100:140] = False
    assert "curves.frozen" not in found(values, valid)


def test_constant_columns():
    a, b = smooth(0), smooth(1)
    a[:, 2] = b[:, 2] = 0
    a[:, 1] = 0.5
    b[:, 5] = np.nan
    a[:, 5] = 1
    tables = {"a": curve_table(NAMES, a), "b": curve_table(NAMES, b)}
    assert constant_columns(tables) == ("tongueOut", "HeadRoll")
    problems = Problems()
    check_groups(problems, {"face": tables})
    assert "2 column(s) have the same value in all 2 shot(s): tongueOut, HeadRoll" in str(*problems)


@pytest.mark.parametrize("columns", [NAMES[:3], NAMES[3:], NAMES])
def test_jumps(columns):
    values = smooth(2)[:, [NAMES.index(name) for name in columns]]
    group = CurveGroup("face", guess_blocks(columns, values))
    assert jumps(group, curve_table(columns, values)).tolist() == []
    cut = values.copy()
    cut[250:] = 0.6 - cut[250:] * 0.2 + 0.5
    assert jumps(group, curve_table(columns, cut)).tolist() == [250]
    lost = np.ones(len(cut), bool)
    lost[248:252] = False
    assert jumps(group, curve_table(columns, cut, valid=lost)).tolist() == []


def test_a_turn_beyond_half_a_turn_is_no_jump():
    turn = np.linspace(0, 12, COUNT)
    wrapped = np.stack([(turn + np.pi) % (2 * np.pi) - np.pi, 0.1 * np.sin(turn), 0.1 * np.cos(turn)], axis=1)
    assert np.abs(np.diff(wrapped[:, 0])).max() > 6
    assert found(wrapped, names=NAMES[3:]) == {}


def test_missing():
    valid = np.ones((COUNT, 6), bool)
    valid[:60] = False
    assert found(smooth(0), valid) == {}
    assert share_missing(curve_table(NAMES, smooth(0), valid=valid)) == pytest.approx(0.1)
    valid[:200, :3] = valid[:100, 3:] = False
    assert "25% of the values are missing (100 of 600 frames have none)" in found(smooth(0), valid)["curves.missing"]
    assert "100%" in found(smooth(0), np.zeros(COUNT, bool))["curves.missing"]


def test_times_that_contradict_the_rate():
    times = np.arange(COUNT) / (FPS * 1.002)
    assert (
        "rows come 30.06 a second, not 30: after 20 s that makes 0.04 s"
        in found(smooth(0), times_s=times)["curves.rate"]
    )
    kept = np.sort(np.random.default_rng(0).permutation(1000)[:COUNT]) / FPS
    assert "frames have no row" in found(smooth(0), times_s=kept)["curves.missing"]


def test_sound_against_the_jaw():
    rate, lags = 16000, {}
    for seed, late in enumerate([0, 0, 0, 0, 6]):
        jaw = smooth(seed)[:, :1]
        loud = np.repeat(np.roll(jaw[:, 0] ** 2, late), int(rate / FPS) + 1)[: int(COUNT / FPS * rate)]
        position = np.arange(int(COUNT / FPS * rate)) * FPS / rate - 0.5
        loud = np.interp(position, np.arange(COUNT), np.roll(jaw[:, 0], late) ** 2)
        samples = np.random.default_rng(seed).normal(size=len(loud)) * loud
        group = CurveGroup("arkit", guess_blocks(("cheekPuff", "jawOpen")))
        values = np.concatenate([0 * jaw, jaw], axis=1)
        curves = CapturedGroup(group, {"s": ShotCurves(values, np.ones(values.shape, bool))})
        head = CapturedGroup(CurveGroup("head", guess_blocks(NAMES[3:])), {"s": curves.shots["s"]})
        opening = jaw_openings([head, curves])["s"]
        assert np.array_equal(opening, jaw[:, 0])
        energy = mel_energy(samples, rate, FPS, COUNT, margin_frames(FPS))
        lags[f"s{seed}"] = find_lag(f"s{seed}", energy, opening, FPS)
    assert all(lag.correlation > 0.5 for lag in lags.values())
    problems = Problems()
    check_sync(problems, lags, FPS, lambda shot: None, "")
    assert [(p.rule, p.where.shot) for p in problems] == [("sync.shot", "s4")]
    assert lags["s4"].frames == pytest.approx(6, abs=0.5)
    curves.shots["s"].known[:] = False
    assert jaw_openings([curves]) == {} == jaw_openings([])


def test_a_body_mesh_that_no_skeleton_moves_is_an_error():
    group = CapturedGroup(skeleton_group("body", arm()), {})

    def told(mesh, groups):
        problems = Problems("anna")
        check_body_mesh(problems, mesh, groups)
        return [str(problem) for problem in problems]

    assert told(None, {}) == told(body_mesh(body_arrays()), {"body": group}) == []
    (line,) = told(body_mesh(body_arrays(prefix="other_")), {"body": group})
    assert "called other_root, other_upper" in line and "joints root, upper, lower" in line
    assert "no group of CURVES_ROOT has a skeleton" in told(body_mesh(body_arrays()), {})[0]
