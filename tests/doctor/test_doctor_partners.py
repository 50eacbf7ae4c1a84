"""The doctor on two voices: which channel is whose, exchanged and silent ones, files that do not fit."""

import numpy as np
import pytest
import soundfile
from fakes.conversation import conversation_project
from fakes.curves import RATE, SHOTS
from fakes.project import use_project, write_key

from audio2face.config import load_config
from audio2face.doctor.check import full_check
from audio2face.doctor.quick import quick_check
from audio2face.doctor.repair import ShotPlan, repaired_sound


@pytest.fixture
def project(tmp_path, monkeypatch):
    conversation_project(tmp_path, {"SKIP_DATA_CHECKS": []})
    use_project(tmp_path, monkeypatch)
    return tmp_path


def found(check=full_check):
    sections = load_config("tiny", ("dataset", "train"))
    findings = full_check(sections, ["ann"])[0].findings if check is full_check else check(sections, ["ann"])
    return {f.rule: f for f in findings if f.rule.startswith(("audio.", "partner."))}


def two_files(project):
    """The same conversation in files of one voice each, named as the config says."""
    home = project / "datasets/ann"
    (home / "other").mkdir()
    for shot in SHOTS:
        samples, rate = soundfile.read(home / f"audio/{shot}.wav")
        soundfile.write(home / f"audio/{shot}.wav", samples[:, 0], rate)
        soundfile.write(home / f"other/{shot}.wav", samples[:, 1], rate)
    write_key(project, "dataset", "AUDIO_CHANNELS", {})
    write_key(project, "dataset", "PARTNER_AUDIO_ROOT", {"ann": str(home / "other")})
    return home / "other"


def test_a_conversation_is_told_which_channel_is_whose(project):
    told = found()
    assert "In 3 of 3 sounds channel 0 is the actor's voice, channel 1 the partner's." in told["audio.channels"].what
    assert {f.level for f in told.values()} == {"info"}


def test_exchanged_channels_are_found(project):
    write_key(project, "dataset", "AUDIO_CHANNELS", {"ann": {"self": 1, "partner": 0}})
    exchanged = found()["partner.exchanged"]
    assert exchanged.level == "error" and "the mouth follows the partner's sound" in exchanged.what


def test_two_voices_without_roles_are_not_averaged_in_silence(project):
    write_key(project, "dataset", "AUDIO_CHANNELS", {})
    told = found()["audio.two_voices"]
    assert told.level == "warning" and "AUDIO_CHANNELS = {'ann'" in told.fix


def test_a_silent_partner_is_named(project):
    path = two_files(project) / f"{SHOTS[1]}.wav"
    soundfile.write(path, np.zeros(2 * RATE), RATE)
    told = found()["partner.silent"]
    assert told.level == "warning" and SHOTS[1] in told.what and told.where.key == "PARTNER_AUDIO_ROOT"


def test_partners_files_are_checked_by_their_headers(project):
    folder = two_files(project)
    assert {f.level for f in found(quick_check).values()} <= {"info"}
    (folder / f"{SHOTS[0]}.wav").unlink()
    soundfile.write(folder / f"{SHOTS[1]}.wav", np.zeros((RATE, 2)), RATE)
    soundfile.write(folder / f"{SHOTS[2]}.wav", np.zeros(16000), 8000)
    told = found(quick_check)
    assert SHOTS[0] in told["partner.monologues"].what
    assert "heard for 30 frames, the animation has 60" in told["partner.length"].what
    assert told["partner.channels"].level == "warning" and "8000 Hz" in told["audio.rate"].what
    write_key(project, "dataset", "PARTNER_AUDIO_OFFSETS", {"ann": {SHOTS[1]: -30}})
    assert "partner.length" not in found(quick_check)  # one second of silence before it: heard until the end


def test_missing_channels_are_errors(project):
    write_key(project, "dataset", "AUDIO_CHANNELS", {"ann": {"self": 2, "partner": 0}})
    assert "There is no channel 2: the file has 2" in found(quick_check)["audio.channel"].what
    write_key(project, "dataset", "AUDIO_CHANNELS", {"ann": {"self": 0, "partner": 2}})
    assert 'Correct "partner"' in found(quick_check)["audio.channel"].fix


def test_repairs_keep_both_voices():
    samples = np.stack([np.ones(RATE), np.zeros(RATE)], axis=1).astype(np.float32)
    plan = ShotPlan("s", 30)
    assert repaired_sound(samples, RATE, plan, 30.0)[0].shape[1] == 1
    assert repaired_sound(samples, RATE, plan, 30.0, voices=True)[0].shape[1] == 2
