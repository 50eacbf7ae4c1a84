"""Conversations that are made on the page: guides, guidance, and a recording as an answer to the sound of a partner."""

import io
import json

import numpy as np
import pytest
import soundfile
from fakes.conversation import talking_runs, voices
from fakes.curves import RATE
from fakes.view_client import end, made, post, serve, uploaded

from audio2face.commands import infer
from audio2face.commands.view import ViewRequest, build_library
from audio2face.problems import UserError


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a run that hears a partner, and a guide for it."""
    root = tmp_path_factory.mktemp("talks")
    with pytest.MonkeyPatch.context() as patch:
        yield root, *talking_runs(root, patch)


@pytest.fixture(scope="module")
def client(project):
    _, run, _ = project
    library = build_library(ViewRequest("tiny", run))
    client = serve(library)
    yield client
    end(client)


def values(client, **wish):
    """The values (T, D) of all groups, of each take of a wish."""
    return [np.load(take.file)["values"] for take in made(client, **wish)[0].takes]


def commanded(project, **keys):
    """The same of `run_inference.py`."""
    root, run, _ = project
    folder = root / "workspace/output_inference" / infer.run("tiny", run, OUTPUT_FORMATS=["npz"], **keys)
    return [np.load(path)["values"] for path in sorted(folder.glob("*.npz")) if not path.name.endswith("_keys.npz")]


def assert_same(takes, others):
    assert len(takes) == len(others)
    for take, other in zip(takes, others, strict=True):
        np.testing.assert_array_equal(take, other)


def test_sliders_begin_with_what_the_config_says(client, project):
    studio = client.json("api/scene")["studio"]
    assert studio["partner"] and studio["guidance"] == {"audio": 1.0, "partner": 1.0, "style": 1.0}
    assert studio["steps"] == "2" and studio["most"]["takes"] == 8
    assert studio["guides"] == [{"name": project[2], "top_p": 0.9, "temperature": 1.0}] and studio["guide"] is None


def test_a_guide_of_the_config_is_chosen_with_its_numbers(project):
    root, run, guide = project
    config = root / "configs/tiny/config_inference.py"
    before = config.read_text()
    try:
        config.write_text(before + f"GUIDE_RUN = {guide!r}\nGUIDE_TEMPERATURE = 0.5\n")
        library = build_library(ViewRequest("tiny", run))
        settings = library.studio.settings
        library.close()
        assert settings.guide == guide and [(g.top_p, g.temperature) for g in settings.guides] == [(0.9, 0.5)]
        config.write_text(before + f"GUIDE_RUN = {run!r}\n")
        with pytest.raises(UserError, match="GUIDE_RUN: .* draws no keyframes"):
            build_library(ViewRequest("tiny", run))
    finally:
        config.write_text(before)


def test_what_the_sliders_say_is_what_the_keys_do(client, project):
    root, _, guide = project
    sound = {"AUDIO_PATH": str(root / "datasets/ann/audio/three_joy.wav"), "EMOTION_LABEL": "joy"}
    (shot,) = [s["id"] for s in client.json("api/scene")["shots"] if s["name"] == "three_joy"]
    scales = {"audio": 1.5, "partner": 2.0, "style": 0.5}
    takes = values(client, shot=shot, whole=True, takes=2, seed=5, steps=3, guidance=scales)
    keys = {"NUM_SAMPLES": 2, "RNG_SEED_INFERENCE": 5, "NUM_DIFFUSION_STEPS": 3, "GUIDANCE": scales}
    assert_same(takes, commanded(project, **sound, **keys))
    assert not np.array_equal(takes[0], values(client, shot=shot, whole=True, seed=5, steps=3)[0])

    drawing = {"guide": guide, "top_p": 0.5, "temperature": 2.0}
    takes = values(client, shot=shot, whole=True, takes=2, seed=5, **drawing)
    keys = {"GUIDE_RUN": guide, "GUIDE_TOP_P": 0.5, "GUIDE_TEMPERATURE": 2.0}
    assert_same(takes, commanded(project, **sound, NUM_SAMPLES=2, RNG_SEED_INFERENCE=5, **keys))
    (calm,) = values(client, shot=shot, whole=True, seed=5, guide=guide, temperature=0)
    assert not np.array_equal(calm, takes[0])


def test_what_is_kept_of_a_guide_is_shown_without_its_keyframes(client, project):
    _, answer = post(client, shot=0, whole=True, takes=2, guide=project[2])
    client.server.library.studio.wait(60)
    status, kept = client.ask("api/keep", "POST", json.dumps({"request": answer["request"]}).encode())
    assert status == 200
    library = build_library(ViewRequest("tiny", json.loads(kept)["run"]))
    assert len(library.shots) == 2 and all(library.open(shot, "prediction") for shot in range(2))
    library.close()


def test_a_recording_answers_the_sound_of_a_partner(client, project):
    root, _, _ = project
    own, other = voices(2)
    for stem, samples in (("me", own), ("you", other)):
        soundfile.write(root / f"{stem}.wav", samples, RATE, subtype="FLOAT")
    you, me = uploaded(client, other, RATE, "you.wav"), uploaded(client, own, RATE, "recording")
    takes = values(client, shot=me, whole=True, seed=7, partner=you)
    keys = {"AUDIO_PATH": str(root / "me.wav"), "PARTNER_AUDIO_PATH": str(root / "you.wav"), "RNG_SEED_INFERENCE": 7}
    assert_same(takes, commanded(project, **keys))
    (alone,) = values(client, shot=me, whole=True, seed=7)
    assert not np.array_equal(alone, takes[0])
    # What is heard with it: both from the same start, as long as the recording.
    both, rate = soundfile.read(io.BytesIO(client.ask(f"sound/{me}/{you}/0.wav")[1]))
    np.testing.assert_allclose(both, np.stack([own, other], axis=1), atol=1e-3)
    longer = uploaded(client, np.concatenate([other, other]), RATE, "longer.wav")
    assert len(soundfile.read(io.BytesIO(client.ask(f"sound/{me}/{longer}/0.wav")[1]))[0]) == len(own) and rate == RATE


def test_the_voice_to_answer_is_the_one_that_the_network_hears(client):
    own, other = voices(3)
    call = uploaded(client, np.stack([own, other], axis=1), RATE, "call.wav")
    status, data = client.ask(f"partner/{call}/0.wav")
    assert status == 200
    np.testing.assert_allclose(soundfile.read(io.BytesIO(data))[0], other, atol=1e-4)
    me = uploaded(client, own, RATE, "me.wav")
    both = soundfile.read(io.BytesIO(client.ask(f"sound/{me}/{call}/0.wav")[1]))[0]
    np.testing.assert_allclose(both, np.stack([own, other], axis=1), atol=1e-3)


def test_a_partner_of_the_data_set_is_heard_with_its_shot(project):
    root, run, _ = project
    config, folder = root / "configs/tiny/config_dataset.py", root / "datasets/you"
    before = config.read_text()
    folder.mkdir()
    own, other = voices(0)
    soundfile.write(folder / "one_neutral.wav", other, RATE)
    late = f"PARTNER_AUDIO_ROOT = {{'ann': {str(folder)!r}}}\nAUDIO_CHANNELS = {{}}\n"
    try:
        config.write_text(before + late)
        library = build_library(ViewRequest("tiny", run))
        (shot,) = [shot for shot in library.shots if shot.partner is not None]
        assert shot.name == "one_neutral" and shot.partner.path == folder / "one_neutral.wav"
        heard = soundfile.read(io.BytesIO(library.sound(library.shots.index(shot))))[0]
        np.testing.assert_allclose(heard[:, 1], other, atol=1e-3)  # beside the file's two voices as one
        assert len(heard) == len(own)
        library.close()
        config.write_text(before + late + "PARTNER_AUDIO_OFFSETS = {'ann': {'one_neutral': 4}}\n")
        library = build_library(ViewRequest("tiny", run))
        assert not any(shot.partner for shot in library.shots)  # both would not begin together
        library.close()
    finally:
        config.write_text(before)


@pytest.mark.parametrize(
    "wish, message",
    [
        ({"guidance": 1}, "guidance: expected {name: scale}"),
        ({"guidance": {"audio": -1}}, "scales from 0 to 10"),
        ({"guidance": {"audio": 1e9}}, "scales from 0 to 10"),
        ({"guidance": {"nose": 1}}, "this network has scales of audio, partner, style"),
        ({"steps": 0}, "steps: expected a whole number from 1 to 100"),
        ({"steps": "ddim5"}, "steps: expected"),
        ({"guide": "../tiny"}, "guide: expected one of"),
        ({"guide": 1}, "guide: expected one of"),
        ({"top_p": 0}, "top_p: expected a number above 0, up to 1"),
        ({"top_p": float("nan")}, "top_p: expected"),
        ({"temperature": -1}, "temperature: expected a number from 0"),
        ({"temperature": True}, "temperature: expected"),
        ({"guide": ["x"]}, "guide: expected one of"),
        ({"top_p": 0.5}, "GUIDE_TOP_P: has no effect without GUIDE_RUN"),
        ({"actor": "eve"}, "actor: expected one of ann"),
        ({"actor": ["ann"]}, "actor: expected one of ann"),
        ({"partner": 999}, "no shot of that number"),
        ({"partner": "you.wav"}, "no shot of that number"),
    ],
)
def test_what_cannot_be_is_refused(client, wish, message):
    status, answer = post(client, shot=0, whole=True, **wish)
    assert status == 422 and len(answer["error"]) == 1 and message in answer["error"][0], answer


def test_sounds_that_are_not_there(client):
    for address in (
        "sound/0/999/0.wav",
        "sound/999/0/0.wav",
        "sound/0/0/9.wav",
        "partner/999/0.wav",
        "partner/0/9.wav",
        "partner/x.wav",
    ):
        assert client.ask(address)[0] == 404
