"""Two voices at inference: which is whose, the other side, both in one film, what takes were made of."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fakes.conversation import conversation_project, guide_project, voices
from fakes.curves import HEAD, RATE
from fakes.project import run_command, use_project

from audio2face.audio.waveform import one_voice
from audio2face.commands import evaluate, infer, preproc, train
from audio2face.formats.keyframes import KeyedGroup, Keyframes, read_keyframes, write_keyframes
from audio2face.inference.animate import Animator
from audio2face.inference.talks import Talk, both_voices, sides_of
from audio2face.problems import UserError
from audio2face.types import Track


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("conversation")
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        conversation_project(root, NUM_EPOCHS=8, LEARNING_RATE=1e-2, LR_MIN=1e-3)
        preproc.run("tiny", "ann")
        name = train.run("tiny").run
    own, partner = voices(2)
    for stem, samples in (("me", own), ("you", partner), ("nobody", 0 * own)):
        soundfile.write(root / f"{stem}.wav", samples, RATE)
    return root, name


@pytest.fixture
def project(trained, monkeypatch):
    use_project(trained[0], monkeypatch)
    return trained


def animated(project, **keys):
    root, name = project
    folder = root / "workspace/output_inference" / infer.run("tiny", name, **keys)
    found = {path.stem: np.load(path) for path in folder.glob("*_head.npy")}
    return found, json.loads((folder / "takes.json").read_text())["takes"], folder


def only(project, **keys):
    (values,) = animated(project, **keys)[0].values()
    return values


def test_a_stereo_file_is_a_conversation_and_two_files_are_the_same(project, caplog):
    root, _ = project
    stereo, takes, _ = animated(project)
    assert takes[0]["sound"]["channel"] == 0 and takes[0]["partner"]["channel"] == 1
    assert "channel 0 of three_joy.wav; partner: channel 1 of three_joy.wav" in caplog.text
    files = {"AUDIO_PATH": str(root / "me.wav"), "PARTNER_AUDIO_PATH": str(root / "you.wav")}
    two = only(project, **files)
    np.testing.assert_allclose(two, next(iter(stereo.values())), atol=1e-4)
    assert not np.allclose(two, only(project, AUDIO_PATH=str(root / "me.wav")), atol=1e-4)  # a monologue


def test_roles_are_swapped(project):
    root, _ = project
    swapped, takes, _ = animated(project, SWAP_ROLES=True)
    assert takes[0]["name"].startswith("three_joy_partner_ann") and takes[0]["sound"]["channel"] == 1
    files = {"AUDIO_PATH": str(root / "you.wav"), "PARTNER_AUDIO_PATH": str(root / "me.wav")}
    np.testing.assert_allclose(next(iter(swapped.values())), only(project, **files), atol=1e-4)


@pytest.mark.slow
def test_both_sides_are_animated_and_filmed_together(project):
    pytest.importorskip("av")
    root, _ = project
    short = np.stack(voices(2), axis=1)[: RATE // 10]
    soundfile.write(root / "short.wav", short, RATE)
    keys = {"AUDIO_PATH": str(root / "short.wav"), "NUM_SAMPLES": 2, "BOTH_SIDES": True}
    _, takes, folder = animated(project, OUTPUT_FORMATS=["npy", "mp4"], **keys)
    assert [(take["sound"]["channel"], take["take"]) for take in takes] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    films = sorted(path.name for path in folder.glob("*_both.mp4"))
    assert films == [f"short_ann_ann_neutral_offline_take{n}_both.mp4" for n in (1, 2)]
    assert len(list(folder.glob("*.mp4"))) == 6  # and each side alone


def test_the_guidance_of_a_partner_counts(project):
    usual = only(project)
    assert np.array_equal(usual, only(project, GUIDANCE={"partner": 1.0}))
    assert not np.allclose(usual, only(project, GUIDANCE={"partner": 3.0}), atol=1e-4)


def test_a_silent_partner_is_not_nobody(project):
    root, _ = project
    alone = only(project, AUDIO_PATH=str(root / "me.wav"))
    files = {"AUDIO_PATH": str(root / "me.wav"), "PARTNER_AUDIO_PATH": str(root / "nobody.wav")}
    assert not np.allclose(alone, only(project, **files), atol=1e-5)


def test_conversations_are_measured(project):
    root, name = project
    folder = root / "workspace/output_evaluate" / evaluate.run("tiny", name, videos=0)
    assert "head" in json.loads((folder / "report.json").read_text())["curves"]


def test_channels_that_are_alike_are_one_voice(project, caplog):
    root, _ = project
    own, _ = voices(2)
    soundfile.write(root / "twice.wav", np.stack([own, own], axis=1), RATE)
    _, takes, _ = animated(project, AUDIO_PATH=str(root / "twice.wav"))
    assert takes[0]["partner"] is None and "its channels are alike" in caplog.text
    assert one_voice(np.stack([own, own], axis=1)) and not one_voice(np.stack([own, 0.5 * own], axis=1))


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"AUDIO_PATH": "{}/me.wav", "SWAP_ROLES": True}, "SWAP_ROLES: .*me.wav holds one voice"),
        ({"AUDIO_PATH": "{}/me.wav", "BOTH_SIDES": True}, "BOTH_SIDES: .*me.wav holds one voice"),
        ({"PARTNER_AUDIO_PATH": ["{}/me.wav", "{}/you.wav"]}, "PARTNER_AUDIO_PATH names 2 sound.*AUDIO_PATH 1"),
        ({"PARTNER_AUDIO_PATH": "{}/none.wav"}, "PARTNER_AUDIO_PATH .*none.wav: no such file"),
        ({"BOTH_SIDES": True, "PARTNER_ACTOR_NAME": "eve"}, "PARTNER_ACTOR_NAME"),
    ],
)
def test_mistakes_are_named(project, keys, message):
    root, _ = project
    fill = lambda x: [y.format(root) for y in x] if isinstance(x, list) else x.format(root)  # noqa: E731
    with pytest.raises(UserError, match=message):
        animated(project, **{k: v if v is True else fill(v) for k, v in keys.items()})


def test_the_command(project, capsys):
    root, name = project
    words = ["tiny", name, "--audio", str(root / "me.wav"), "--partner", str(root / "you.wav"), "--both", "--local"]
    assert run_command("inference", words) == 0
    newest = max((root / "workspace/output_inference").iterdir(), key=lambda path: path.stat().st_mtime)
    made = {take["name"].split("_")[0]: take for take in json.loads((newest / "takes.json").read_text())["takes"]}
    assert set(made) == {"me", "you"} and made["you"]["partner"]["file"].endswith("me.wav")
    assert run_command("inference", [*words[:4], "--swap", "--local"]) == 2
    assert "SWAP_ROLES" in capsys.readouterr().err


def test_an_animation_goes_through_keyframes(project, tmp_path):
    frames, turns = np.array([6, 30]), np.array([[0.1, 0.3, -0.1], [-0.2, 0.0, 0.0]], np.float32)
    jaw = np.array([[0.6], [np.nan]], np.float32)  # one column of four: the others stay free
    groups = {"head": KeyedGroup(HEAD, turns), "arkit": KeyedGroup(("jawOpen",), jaw)}
    write_keyframes(tmp_path / "k.npz", Keyframes(1.0, frames, groups))
    made, takes, folder = animated(project, KEYFRAMES_PATH=str(tmp_path / "k.npz"))
    (head,) = made.values()
    np.testing.assert_allclose(head[frames], turns, atol=2e-3)
    assert not np.allclose(head[18], turns[0], atol=0.02)
    names = json.loads(next(folder.glob("*_names.json")).read_text())["arkit"]
    jaw = np.load(next(folder.glob("*_arkit.npy")))[:, names.index("jawOpen")]
    assert jaw[6] == pytest.approx(0.6, abs=2e-3) and jaw[30] != pytest.approx(0.6, abs=2e-3)
    late = Keyframes(1.0, np.array([15, 300]), {"head": KeyedGroup(HEAD, turns)}, frame_rate=15.0)
    write_keyframes(tmp_path / "late.npz", late)
    found = only(project, KEYFRAMES_PATH=str(tmp_path / "late.npz"))
    np.testing.assert_allclose(found[31], turns[0], atol=2e-3)  # the middle of frame 15 of 15, of 30 a second


@pytest.mark.parametrize(
    "groups, message",
    [
        ({"haed": HEAD}, "k.npz: group 'haed' is not one that the model moves .*did you mean 'head'"),
        ({"head": ("HeadYaw", "HeadPich")}, "group 'head' has no column 'HeadPich'; did you mean 'HeadPitch'"),
    ],
)
def test_keyframes_that_do_not_fit_are_named(project, tmp_path, groups, message):
    keyed = {name: KeyedGroup(columns, np.zeros((1, len(columns)), np.float32)) for name, columns in groups.items()}
    write_keyframes(tmp_path / "k.npz", Keyframes(1.0, np.array([3]), keyed))
    with pytest.raises(UserError, match=message):
        animated(project, KEYFRAMES_PATH=str(tmp_path / "k.npz"))


def test_an_edit_says_that_keyframes_have_no_part_in_it(project, tmp_path, caplog):
    root, name = project
    keyed = {"head": KeyedGroup(HEAD, np.zeros((1, len(HEAD)), np.float32))}
    write_keyframes(tmp_path / "k.npz", Keyframes(1.0, np.array([3]), keyed))
    asked = {"file": str(root / "datasets/ann/face/three_joy.npz"), "regenerate": ["5-9"], "film": False}
    infer.run("tiny", name, EDIT=asked, KEYFRAMES_PATH=str(tmp_path / "k.npz"))
    assert caplog.text.count("KEYFRAMES_PATH has no part in an edit") == 1


@pytest.mark.slow
def test_an_animation_goes_through_the_keyframes_of_a_guide(project, caplog):
    root, _ = project
    guide_project(root, TOP_P=0.9)
    guide = train.run("guide").run
    made, _, folder = animated(project, GUIDE_RUN=guide, NUM_SAMPLES=2)
    drawn = {}
    for stem, head in made.items():
        keys = read_keyframes(folder / f"three_joy_{stem.split('_')[-2]}_keys.npz")
        assert keys.frames.tolist() == list(range(0, 60, 6)) and set(keys.groups) == {"head"}
        np.testing.assert_allclose(head[keys.frames], keys.groups["head"].values, atol=2e-3)
        drawn[stem] = keys.groups["head"].values
    assert not np.array_equal(*drawn.values())  # takes have keyframes of their own
    again, _, _ = animated(project, KEYFRAMES_PATH=str(folder), NUM_SAMPLES=2)  # each take by its own
    for stem, values in drawn.items():
        np.testing.assert_allclose(again[stem][keys.frames], values, atol=2e-3)
    asked = {"file": str(root / "datasets/ann/face/three_joy.npz"), "regenerate": ["5-9"], "film": False}
    infer.run("tiny", project[1], EDIT=asked, GUIDE_RUN=guide)
    assert "GUIDE_RUN has no part in an edit" in caplog.text
    assert infer.run("guide", guide, AUDIO_PATH=str(root / "me.wav"), PARTNER_AUDIO_PATH=str(root / "you.wav"))


def test_only_guides_draw_keyframes(project):
    with pytest.raises(UserError, match="GUIDE_RUN: .* is a diffusion_transformer, which draws no keyframes"):
        animated(project, GUIDE_RUN=project[1])


def test_a_run_that_hears_nobody_says_so(trained, monkeypatch, tmp_path):
    use_project(tmp_path, monkeypatch)
    conversation_project(tmp_path, {"AUDIO_CHANNELS": {"ann": {"self": 1}}})
    preproc.run("tiny", "ann")
    name = train.run("tiny").run
    with pytest.raises(UserError, match="PARTNER_AUDIO_PATH: .* hears the actor alone"):
        infer.run("tiny", name, PARTNER_AUDIO_PATH=str(trained[0] / "you.wav"))
    _, takes, _ = animated((tmp_path, name))
    assert takes[0]["sound"]["channel"] == 1 and takes[0]["partner"] is None


def test_a_partners_sound_is_cut_to_the_moment_at_which_the_actors_starts(tmp_path):
    ramp = np.arange(RATE, dtype=np.float32)[:, None] / RATE
    soundfile.write(tmp_path / "ramp.wav", ramp, RATE, subtype="FLOAT")
    spec = SimpleNamespace(extra={"partner": True}, audio_params={"samplerate": RATE})
    animator = Animator(spec, {}, None, None, False)
    later = animator.load_partner(Track(tmp_path / "ramp.wav"), 0.25).samples
    assert later[0] == pytest.approx(0.25) and len(later) == 0.75 * RATE
    earlier = animator.load_partner(Track(tmp_path / "ramp.wav"), -0.5).samples
    assert not earlier[: RATE // 2].any() and earlier[RATE // 2 + 100] == pytest.approx(100 / RATE)
    assert animator.load_partner(None) is None
    spec.extra.clear()
    assert animator.load_partner(Track(tmp_path / "ramp.wav")) is None


def test_sides_stand_together(tmp_path):
    a, b = Track(tmp_path / "a.wav"), Track(tmp_path / "b.wav")
    talk = Talk("a", "ann", a, b)
    assert sides_of([talk, talk.other_side("bob")]) == [[talk, Talk("b", "bob", b, a)]]
    assert sides_of([talk, Talk("c", "ann", a)]) == [[talk], [Talk("c", "ann", a)]]
    soundfile.write(a.path, np.full(100, 0.25, np.float32), RATE, subtype="FLOAT")
    soundfile.write(b.path, np.full(50, 0.25, np.float32), RATE, subtype="FLOAT")
    samples, rate = both_voices(talk)
    assert rate == RATE and samples[:50] == pytest.approx(0.25) and samples[50:].max(axis=0) == pytest.approx([0.25, 0])
