"""Two people of a conversation in one scene: who the other one is, how that person moves, and what is heard of both."""

import io
import json

import numpy as np
import pytest
import soundfile
from fakes.conversation import run_of_two, voices
from fakes.curves import RATE
from fakes.view_client import end, made, post, serve, uploaded

from audio2face.commands.view import ViewRequest, build_library
from audio2face.problems import UserError
from audio2face.viewer import studio


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        yield root, run_of_two(root, patch)


@pytest.fixture(scope="module")
def client(place):
    client = serve(build_library(ViewRequest("tiny", place[1])))
    yield client
    end(client)


def number_of(client, name, actor="ann"):
    return next(s["id"] for s in client.json("api/scene")["shots"] if (s["name"], s["actor"]) == (name, actor))


def same_motion(client, one, other):
    return np.allclose(client.piece(one)["skin"], client.piece(other)["skin"], atol=1e-3)


def test_the_other_person_is_found_as_captured(client):
    ann, bob = (number_of(client, "one_neutral", actor) for actor in ("ann", "bob"))
    assert all(client.json(f"api/shots/{shot}")["partner"] for shot in (ann, bob))
    for shot, other, name in ((ann, bob, "bob"), (bob, ann, "ann")):
        found = client.json(f"api/shots/{shot}/partner")
        assert found["actor"] == name and found["prediction"] is None
        own = client.json(f"api/shots/{other}")["truth"]
        assert found["truth"]["start_s"] == own["start_s"] and same_motion(client, found["truth"], own)
        assert client.json(f"api/shots/{shot}/partner")["truth"]["id"] == found["truth"]["id"]  # opened once


def test_the_own_voice_is_left_and_the_partners_right(client):
    left, right = voices(0)
    for actor, wanted in (("ann", [left, right]), ("bob", [right, left])):
        heard, rate = soundfile.read(io.BytesIO(client.ask(f"sound/{number_of(client, 'one_neutral', actor)}.wav")[1]))
        assert rate == RATE
        np.testing.assert_allclose(heard, np.stack(wanted, axis=1), atol=1e-3)


def test_files_of_each_persons_own_are_matched_by_voice_or_by_name(place):
    root, run = place
    config, folder = root / "configs/tiny/config_dataset.py", root / "datasets/other"
    before = config.read_text()
    folder.mkdir()
    for number, shot in enumerate(("one_neutral", "two_neutral", "three_joy")):
        own, other = voices(number)
        soundfile.write(
            folder / f"{shot}.wav", np.stack([other, own], axis=1)[: -RATE * 3 // 2 * (number == 1) or None], RATE
        )
    try:
        both = f"AUDIO_CHANNELS = {{a: {{'self': 0, 'partner': 1}} for a in ACTOR_NAMES}}\nAUDIO_ROOT['bob'] = {str(folder)!r}\n"
        config.write_text(before + both)  # each recording holds both
        library = build_library(ViewRequest("tiny", run))
        found = {shot.name: library.other(n) for n, shot in enumerate(library.shots) if shot.actor == "ann"}
        assert found["one_neutral"].actor == "bob" and found["two_neutral"] is None  # which lasts 1.5 s less
        alone = root / "datasets/ann/audio/three_joy.wav"
        stereo = alone.read_bytes()
        soundfile.write(alone, voices(2)[0], RATE)  # of one voice: a monologue
        client = serve(library)
        shot = number_of(client, "three_joy")
        assert not client.json(f"api/shots/{shot}")["partner"]
        status, answer = post(client, shot=shot, whole=True, actor="ann", both=True)
        assert status == 422 and "three_joy has no partner" in answer["error"][0]
        end(client)
        library = build_library(ViewRequest("tiny", run))
        assert library.other(shot) is None
        alone.write_bytes(b"RIFF")
        library._others.clear()
        for call in (library.other, library.partner):
            with pytest.raises(UserError, match="three_joy.wav"):
                call(shot)
        library.close()
        alone.write_bytes(stereo)
        config.write_text(
            before
            + f"AUDIO_CHANNELS = {{}}\nAUDIO_ROOT['bob'] = {str(folder)!r}\nPARTNER_AUDIO_ROOT = {{'ann': {str(folder)!r}}}\n"
        )
        library = build_library(ViewRequest("tiny", "ann"))
        assert library.other(0).actor == "bob" and {actor.name for actor in library.actors} == {"ann", "bob"}
        library.close()
    finally:
        config.write_text(before)


def test_a_partner_without_motion_is_nobody_to_see(place):
    root, _ = place
    config = root / "configs/tiny/config_dataset.py"
    before = config.read_text()
    try:
        of_ann = "".join(
            f"{key} = {{'ann': {key}['ann']}}\n" for key in ("CACHE_FPS", "AUDIO_ROOT", "AUDIO_CHANNELS", "CURVES_ROOT")
        )
        config.write_text(f"{before}ACTOR_NAMES = ['ann']\n{of_ann}")
        library = build_library(ViewRequest("tiny"))
        assert library.shots[0].partner is not None and library.other(0) is None
        client = serve(library)
        assert client.json("api/shots/0/partner") == {"actor": "", "truth": None, "prediction": None}
        end(client)
    finally:
        config.write_text(before)


def test_both_sides_are_made_and_kept(client, place):
    shot = number_of(client, "three_joy", "bob")
    request, found = made(client, shot=shot, whole=True, actor="bob", takes=2, seed=5, both=True)
    assert [take["actor"] for take in found["takes"] + found["others"]] == ["bob", "bob", "ann", "ann"]
    assert len({take.file for take in (*request.takes, *request.others)}) == 4
    (alone,) = made(client, shot=shot, whole=True, actor="bob", seed=5)[1]["takes"]
    assert same_motion(client, found["takes"][0], alone) and not same_motion(client, found["others"][0], alone)
    ann = made(client, shot=number_of(client, "three_joy"), whole=True, actor="ann", seed=5)[1]["takes"][0]
    assert same_motion(client, found["others"][0], ann)  # as if she were the one who was asked for
    edit = made(client, shot=shot, base=[1, 0], ranges=[[2, 8]], both=True)[1]
    assert len(edit["takes"]) == 1 and edit["others"] == []

    status, kept = client.ask("api/keep", "POST", json.dumps({"request": 1}).encode())
    assert status == 200
    library = build_library(ViewRequest("tiny", json.loads(kept)["run"]))
    assert sorted(shot.actor for shot in library.shots) == ["ann", "ann", "bob", "bob"]
    for number, view in enumerate(library.shots):
        other = library.other(number)
        assert other.actor != view.actor and other.note[-1] == view.note[-1]  # of the same take
        assert all(library.open(number, side, True) for side in ("truth", "prediction"))
    library.close()


def test_a_recording_meets_whom_it_answers(client):
    own, other = voices(0)
    me, you = uploaded(client, own, RATE, "me"), uploaded(client, other, RATE, "you.wav")
    names = [actor["name"] for actor in client.json("api/scene")["actors"]]
    ann, bob = number_of(client, "one_neutral"), number_of(client, "one_neutral", "bob")
    for hears, person in (("ann", "bob"), ("bob", "ann")):  # in a file of both, each hears the other one's channel
        for shot in (ann, bob):
            assert client.json(f"api/partner/{shot}/{names.index(hears)}")["actor"] == person
    assert client.json(f"api/partner/{you}/0")["truth"] is None
    request, found = made(client, shot=me, whole=True, actor="ann", partner=bob, both=True)
    assert found["others"][0]["actor"] == "bob" and request.wish.partner_actor == "bob"
    call = uploaded(client, np.stack([own, other], axis=1), RATE, "call.wav")
    assert client.json(f"api/shots/{call}")["partner"] and not client.json(f"api/shots/{me}")["partner"]
    assert len(made(client, shot=call, whole=True, actor="ann", both=True)[1]["others"]) == 1


def test_what_cannot_be_is_refused(client, monkeypatch):
    mono = uploaded(client, voices(2)[0], RATE, "mono")
    status, answer = post(client, shot=mono, whole=True, actor="ann", both=True)
    assert status == 422 and answer["error"] == ["both: mono has no partner; choose one under Conversation"]
    used = sum(1 + request.wish.both for request in client.server.library.studio._requests.values())
    monkeypatch.setattr(studio, "MOST_MADE", used + 1)
    status, answer = post(client, shot=0, whole=True, both=True)
    assert status == 422 and "animations were made here" in answer["error"][0]
    for address in ("api/shots/999/partner", "api/partner/999/0", "api/partner/0/9", "api/partner/x/0"):
        assert client.ask(address)[0] == 404
