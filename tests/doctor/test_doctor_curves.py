"""The doctor and preprocessing on curves without a mesh: units stop, oddities are told, sounds lie against jawOpen."""

import json

import numpy as np
import pytest
import soundfile
from fakes.curves import RATE, SHOTS, curves_dataset, loudness, speech
from fakes.project import use_project, write_configs

from audio2face.config import load_config
from audio2face.doctor.check import full_check
from audio2face.doctor.quick import build_checked
from audio2face.formats.curve_table import curve_table, read_curve_table, write_curve_table
from audio2face.problems import UserError
from runners import check_dataset


@pytest.fixture
def project(tmp_path, monkeypatch):
    dataset = curves_dataset([tmp_path / "datasets/ann"])
    write_configs(tmp_path, dataset=dataset, train={"NETWORK_TYPE": "regression", "TARGET_CHANNELS": ["arkit"]})
    use_project(tmp_path, monkeypatch)
    return tmp_path


def sections():
    return load_config("tiny", ("dataset", "train"))


def spoil(project, shot, change, group="arkit"):
    path = project / f"datasets/ann/{group}/{shot}.npz"
    table = read_curve_table(path)
    write_curve_table(path, curve_table(table.names, change(table.with_gaps.copy()), table.fps))


def test_clean_curves_have_infos_alone_and_a_report(project, tmp_path, capsys):
    report = full_check(sections(), ["ann"])[0]
    assert {f.level for f in report.findings} == {"info"}
    assert "files.optional" not in {f.rule for f in report.findings}
    assert {f.rule for f in report.findings} >= {"curves.constant"}
    assert set(report.opening) == set(report.sounds) == set(SHOTS)
    html, found = tmp_path / "report.html", tmp_path / "report.json"
    assert check_dataset.main(["tiny", "--html", str(html), "--json", str(found)]) == 0
    told = capsys.readouterr().out
    assert "two_neutral" in told and "No errors" in told
    assert "opening of the mouth" in html.read_text() and "three_joy" in html.read_text()
    assert len(json.loads(found.read_text())["actors"]["ann"]["shots"]) == 3
    assert check_dataset.main(["tiny", "--fast"]) == 0
    assert check_dataset.main(["tiny", "--fix", str(tmp_path / "fixed")]) == 0
    assert "only actors with a skin" in capsys.readouterr().out


def test_percent_stops_preprocessing_unless_accepted(project):
    spoil(project, "two_neutral", lambda values: 100 * values)
    with pytest.raises(UserError, match=r"two_neutral.*percent.*--scale 1/100.*CURVES_KIND") as told:
        build_checked(sections(), "ann")
    assert "SKIP_DATA_CHECKS = ['curves.range']" in str(told.value)
    config = project / "configs/tiny/config_dataset.py"
    text = config.read_text()
    config.write_text(text + 'SKIP_DATA_CHECKS = ["curves.range"]\n')
    assert build_checked(sections(), "ann").curves
    config.write_text(text + 'CURVES_KIND = {"ann": {"arkit": {"kind": "weights", "low": 0, "high": 100}}}\n')
    assert build_checked(sections(), "ann").curves


def test_frozen_jumping_and_lost_values_are_warnings(project):
    def frozen(values):
        values[10:50] = values[10]
        return values

    def lost(values):
        values[5:40] = np.nan
        return values

    spoil(project, "one_neutral", frozen)
    spoil(project, "three_joy", lost)
    found = {(f.rule, f.where.shot): f.level for f in full_check(sections(), ["ann"])[0].findings}
    assert found["curves.frozen", "one_neutral"] == "warning" == found["curves.missing", "three_joy"]
    assert build_checked(sections(), "ann").curves


def test_a_late_sound_is_found_by_the_jaw(project):
    """Five shots, so that the others tell what is usual; one of them sounds 200 ms late."""
    home = project / "datasets/ann"
    for seed in range(5):
        samples = speech(seed, 6.0) * np.repeat(np.random.default_rng(seed).uniform(0, 1, 24), RATE // 4)
        jaw = loudness(samples)
        for group, names in (("arkit", ("jawOpen",)), ("head", ("HeadYaw",))):
            write_curve_table(home / f"{group}/s{seed}.npz", curve_table(names, jaw[:, None], 30.0))
        late = np.roll(samples, RATE // 5) if seed == 3 else samples
        soundfile.write(home / f"audio/s{seed}.wav", late, RATE)
    found = [(f.level, f.where.shot) for f in full_check(sections(), ["ann"])[0].findings if f.rule == "sync.shot"]
    assert found == [("error", "s3")]


def test_chance_in_short_shots_is_no_lag(project):
    """Mouths that have nothing to do with their sounds: nothing is said about single shots."""
    home = project / "datasets/ann"
    for seed in range(6):
        rng = np.random.default_rng(seed)
        jaw = np.convolve(rng.uniform(0, 1, 130), np.hanning(9) / 4.5, "valid")
        write_curve_table(home / f"arkit/s{seed}.npz", curve_table(("jawOpen",), jaw[:120, None], 30.0))
        loud = np.interp(np.arange(4 * RATE) / RATE * 5, np.arange(21), rng.uniform(0, 1, 21))
        soundfile.write(home / f"audio/s{seed}.wav", loud * speech(seed, 4.0), RATE)
    found = full_check(sections(), ["ann"])[0].findings
    assert not [f for f in found if f.rule in ("sync.shot", "sync.unrelated", "sync.all")]
