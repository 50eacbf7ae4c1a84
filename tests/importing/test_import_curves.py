"""Recordings of curves without a rig become data sets and projects: groups, gaps, cuts, sounds, other programs' tables."""

import json

import numpy as np
import pytest
from fakes.curves import loudness, speech
from fakes.rig import write_take

from audio2face.config import load_config
from audio2face.doctor.check import full_check
from audio2face.formats.arkit_csv import HEADER
from audio2face.formats.arkit_names import CURVES
from audio2face.formats.curve_table import curve_table, read_curve_table, write_curve_table
from audio2face.formats.sound import read_sound, write_sound
from audio2face.importing.cuts import cut_take, held_out, usual_cut
from audio2face.importing.takes import find_takes
from tools import import_live_link

RATE = 16000


@pytest.fixture
def place(tmp_path, monkeypatch):
    for key in ("DATASETS", "WORKSPACE", "CONFIGS"):
        monkeypatch.setenv(f"A2F_{key}_ROOT", str(tmp_path / key.lower()))
    return tmp_path


def convert(place, *more):
    return import_live_link.main([str(place / "takes"), "--actor", "ann", *more])


def phone(folder, name, seconds=12.0, fps=60, lost=(), seed=0):
    """A recording with head and eyes, and its sound with pauses: values (T, 61); rows of `lost` have no face."""
    folder.mkdir(parents=True, exist_ok=True)
    count = round(seconds * fps)
    values = np.zeros((count, 61))
    values[:, HEADER.index("JawOpen") - 2] = np.minimum(0.8 * loudness(pausing(seconds, seed), fps), 1)
    values[:, HEADER.index("HeadYaw") - 2] = 0.2 * np.sin(np.arange(count) / 40)
    values[:, HEADER.index("LeftEyePitch") - 2] = 0.1 * np.sin(np.arange(count) / 25)
    rows = [",".join(HEADER)]
    for t, row in enumerate(values):
        second, frame = divmod(t, fps)
        code = f"10:00:{second:02d}:{frame:02d}.000"
        rows.append(f"{code},0" + "," * 61 if t in lost else ",".join([code, "61", *(f"{v:.6f}" for v in row)]))
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    write_sound(folder / f"{name}.wav", pausing(seconds, seed), RATE)
    return values


def pausing(seconds, seed=0):
    """Speech that pauses for half a second in every three (N,)."""
    samples = speech(seed, seconds)
    return samples * (np.arange(len(samples)) / RATE % 3 < 2.5)


def test_one_long_take_becomes_shots_and_a_project(place, capsys):
    values = phone(place / "takes", "long take")  # 720 frames, of which a third is held out
    assert convert(place) == 0
    told = capsys.readouterr().out
    assert "cut in pauses" in told and "held out of training, to measure on: long_take_03" in told
    assert "group arkit: 52 of 52" in told and "group eyes" in told and "group head" in told
    home, sections = place / "datasets/ann", load_config("ann", ("dataset", "preproc", "train", "inference"))
    train = sections["train"]
    assert train.TARGET_CHANNELS == ["arkit", "head"] and train.VALIDATION_CLIPS == ["long_take_03"]
    assert train.TARGET_FPS == 60 == sections["dataset"].CACHE_FPS["ann"]
    assert {clip[1] for clip in train.CLIPS} == {f"long_take_0{k}" for k in (1, 2, 3)}
    assert train.AUG_MUTED_SHOTS[0][1][0] != "long_take_03"
    assert sections["inference"].OUTPUT_FORMATS == ["mp4", "arkit_csv", "npz"]
    assert train.NUM_EPOCHS == 24 and train.LOSS_LIP_DIST_ALPHA is None
    assert set(sections["dataset"].CURVES_ROOT["ann"]) == {"arkit", "head", "eyes"}
    tables = [read_curve_table(home / f"curves/arkit/long_take_0{k}.npz") for k in (1, 2, 3)]
    assert tables[0].names == CURVES and not any(table.times_s[0] for table in tables)
    jaw = np.concatenate([table.column("jawOpen") for table in tables])
    np.testing.assert_allclose(jaw, values[:, HEADER.index("JawOpen") - 2], atol=1e-6)
    sounds = np.concatenate([read_sound(home / f"audio/long_take_0{k}.wav")[0] for k in (1, 2, 3)])
    np.testing.assert_allclose(sounds[:, 0], pausing(12.0), atol=1e-4)
    for number, (_, shot, (first, last), *_) in enumerate(train.CLIPS):
        assert first == 0 and last + 1 == len(tables[number].values), shot
        assert abs(len(read_sound(home / f"audio/{shot}.wav")[0]) / RATE - (last + 1) / 60) < 1e-3
    findings = full_check(sections, ["ann"])[0].findings
    assert not [f for f in findings if f.level != "info"], findings


def test_gaps_and_rates_stay_as_recorded(place, capsys):
    phone(place / "takes", "a", 6.0, lost=range(100, 160))
    assert convert(place, "--cut", "0", "--fps", "30") == 0
    assert "nothing is held out" in capsys.readouterr().out
    table = read_curve_table(place / "datasets/ann/curves/head/a.npz")
    assert len(table.values) == 300 and table.fps == 60
    assert np.diff(table.times_s).max() == pytest.approx(61 / 60)
    sections = load_config("ann", ("dataset", "train"))
    assert sections["dataset"].CACHE_FPS["ann"] == 30 == sections["train"].TARGET_FPS
    assert sections["train"].CLIPS[0][2] == (0, 179)
    data = full_check(sections, ["ann"])[0].data
    known = data.curves["head"].shots["a"].known
    assert known[:49].all() and not known[52:78].any() and known[81:].all()


def test_enough_takes_stay_whole(place):
    for number in range(5):
        phone(place / "takes", f"t{number}", 1.5, seed=number)
    assert convert(place) == 0
    train = load_config("ann", ("train",))["train"]
    assert [clip[1] for clip in train.CLIPS] == [f"t{number}" for number in range(5)]
    assert train.VALIDATION_CLIPS == 0.1


def test_a_head_that_stands_still_is_left_out(place, capsys):
    write_take(place / "takes", "a", 0, 150)
    assert convert(place) == 0
    assert "group head: does not move, left out" in capsys.readouterr().out
    assert load_config("ann", ("train",))["train"].TARGET_CHANNELS == ["arkit"]


@pytest.mark.parametrize("kind", ["mediapipe", "ifacialmocap", "audio2face", "json", "npz"])
def test_tables_of_other_programs(place, kind, capsys):
    folder, count = place / "takes", 150
    folder.mkdir()
    write_sound(folder / "a.wav", pausing(5.0), RATE)
    jaw = np.round(0.5 + 0.5 * np.sin(np.arange(count) / 9), 4)
    yaw = np.round(5 * np.sin(np.arange(count) / 30), 3)  # degrees
    if kind == "mediapipe":
        rows = [f"{t / 30:.5f},0.9,{a},0.1" for t, a in enumerate(jaw)]
        (folder / "a.csv").write_text("\n".join(["time,_neutral,jawOpen,eyeBlinkLeft", *rows]))
    elif kind == "ifacialmocap":
        rows = [f"jawOpen-{100 * a:.2f}|eyeBlink_L-10|=head#0.0,{y},0.0|" for a, y in zip(jaw, yaw, strict=True)]
        (folder / "a.txt").write_text("\n".join(rows))
    elif kind == "audio2face":
        rows = [f"{t / 30:.5f},{a},0.1" for t, a in enumerate(jaw)]
        (folder / "a.csv").write_text("\n".join(["timeCode,blendShapes.JawOpen,blendShapes.EyeBlinkLeft", *rows]))
    elif kind == "json":
        content = {"fps": 30, "names": ["JawOpen", "EyeBlinkLeft"], "values": [[a, 0.1] for a in jaw]}
        (folder / "a.json").write_text(json.dumps(content))
    else:
        values = np.stack([jaw, np.full(count, 0.1), np.full(count, np.nan)], axis=1)
        values[20:30, 1] = np.nan
        write_curve_table(folder / "a.npz", curve_table(["jawOpen", "eyeBlinkLeft", "cheekPuff"], values, 30.0))
    if kind == "ifacialmocap":
        assert convert(place) == 2
        assert "a.txt: it has no times and no rate; pass --csv-fps" in capsys.readouterr().err
    assert convert(place, "--cut", "0", *(["--csv-fps", "30"] if kind == "ifacialmocap" else [])) == 0
    table = read_curve_table(place / "datasets/ann/curves/arkit/a.npz")
    np.testing.assert_allclose(table.column("jawOpen"), jaw, atol=2e-4)
    assert table.column("eyeBlinkLeft")[0] == pytest.approx(0.1) and "_neutral" not in table.names
    assert table.fps == 30 and len(table.values) == count
    if kind == "ifacialmocap":
        head = read_curve_table(place / "datasets/ann/curves/head/a.npz")
        np.testing.assert_allclose(head.column("headYaw"), np.deg2rad(yaw), atol=1e-5)
    if kind == "npz":
        assert not table.valid[20:30, table.names.index("eyeBlinkLeft")].any() and table.valid[:, 0].any()


def test_a_rig_takes_tables_of_other_programs_too(place, monkeypatch):
    from fakes.rig import FakeRig

    from audio2face.formats.gltf import write_gltf

    folder = place / "takes"
    folder.mkdir()
    rig = FakeRig()
    write_gltf(place / "rig.glb", rig.meshes(), 30, units_per_metre=100)
    write_sound(folder / "a.wav", pausing(3.0), RATE)
    rows = [f"{t / 30:.5f},{0.5 + 0.5 * np.sin(t / 9):.4f}" for t in range(90)]
    (folder / "a.csv").write_text("\n".join(["time,jawOpen", *rows]))
    assert convert(place, "--rig", str(place / "rig.glb")) == 0
    skin = np.load(place / "datasets/ann/cache/skin/a/a.npy")
    assert len(skin) == 90 and np.ptp(skin, axis=0).max() > 0.1


def test_what_cannot_be_is_told_at_once(place, capsys):
    phone(place / "takes", "a", 3.0)
    phone(place / "takes", "b", 3.0)
    (place / "takes/b.wav").unlink()
    text = (place / "takes/a.csv").read_text().splitlines()
    rows = [line.split(",") for line in text]
    rows[1:] = [[*r[:2], *(f"{100 * float(v):.3f}" for v in r[2:54]), *r[54:]] for r in rows[1:]]
    (place / "takes/a.csv").write_text("\n".join(",".join(row) for row in rows))
    assert convert(place) == 2
    told = capsys.readouterr().err
    assert "percent? Pass --scale 1/100" in told and "b.csv: no sound b.wav" in told
    phone(place / "takes", "b", 3.0)
    assert convert(place, "--cut", "-1", "--map", str(place / "nothing.json")) == 2
    told = capsys.readouterr().err
    assert "--cut must be" in told and "--map is about a rig" in told


def test_cuts_lie_in_pauses():
    samples = pausing(12.0)[:, None]
    parts = cut_take(samples, RATE, 12.0, 4.0)
    assert len(parts) == 3 and parts[0][0] == 0 and parts[-1][1] == 12.0
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))
    for start, _ in parts[1:]:
        assert 2.5 <= start % 3 < 3
    assert cut_take(samples, RATE, 12.0, None) == [(0.0, 12.0)] == cut_take(samples, RATE, 12.0, 0)
    assert [b - a for a, b in cut_take(np.zeros((0, 1)), RATE, 8.0, 4.0)] == [4.0, 4.0]


def test_how_long_shots_are_and_what_is_held_out():
    assert usual_cut([20.0]) == 5 and usual_cut([3.0]) == 4 and usual_cut([600.0, 300.0]) == 10
    assert usual_cut([10.0] * 5) is None
    assert held_out({"a": ["a_1", "a_2", "a_3"], "b": ["b"]}) == ("a_3",)
    assert held_out({"a": [f"{k}" for k in range(16)]}) == ("14", "15")


def test_folders_of_takes_hold_other_tables_too(tmp_path):
    for name in ("a.csv", "a.json", "a.wav"):
        (tmp_path / name).write_text("")
    assert [take.curves.name for take in find_takes([tmp_path])[0]] == ["a.csv"]
    (tmp_path / "a.csv").unlink()
    assert [take.curves.name for take in find_takes([tmp_path])[0]] == ["a.json"]
