"""The demo of two people who talk: turns, reactions that only the partner's sound explains, and the files of both."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audio2face.config import load_config
from audio2face.face.skeleton import pose_from_values, positions
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.sound import read_sound
from audio2face.problems import UserError
from audio2face.render.head import CONTACT, MM_PER_UNIT, builtin_head, head_weights, pose_head
from tools import run_demo
from tools.demo.animate import FPS
from tools.demo.body import SKELETON
from tools.demo.conversation import (
    ACCENT_APART_S,
    HELD_OUT,
    LEAK,
    PEOPLE,
    TAIL_S,
    Dialogue,
    microphones,
    read_scripts,
    stage,
    stressed_vowels,
    voice_of,
)
from tools.demo.conversation_dataset import act, plan_dialogues, staged, write_conversations
from tools.demo.conversation_report import (
    body_figures,
    error_figures,
    lip_opening_mm,
    listening_figures,
    mean_pose,
    mouth_figures,
    read_sides,
)
from tools.demo.following import following, nod_energy
from tools.demo.listener import LAG_S, heard_accents, holds_turn, listens, react
from tools.demo.shapes import ARKIT
from tools.demo.speech import PAUSE, VOICES, Phone, Speech, parse_ipa
from tools.make_demo_conversation import main

RATE = 1000


def hum(ipa, pitch):
    """Speech without a voice: a tone, and phones of 80 ms."""
    phones, now = [Phone(PAUSE, 0.0, 0.1)], 0.1
    for symbol, stress, _ in parse_ipa(ipa):
        phones.append(Phone(symbol, now, now + 0.08, stress))
        now += 0.08
    phones.append(Phone(PAUSE, now, now + 0.1))
    times = np.arange(round((now + 0.1) * RATE)) / RATE
    return Speech(np.sin(2 * np.pi * 100 * pitch * times).astype(np.float32), RATE, tuple(phones))


@pytest.fixture(scope="module")
def dialogues():
    scripts, replies = read_scripts()
    return [
        stage(plan.name, scripts[plan.script], replies, plan.first, hum, plan.rng(0)) for plan in plan_dialogues(8, 3)
    ]


def times_of(dialogue):
    return (np.arange(int(dialogue.duration_s * FPS)) + 0.5) / FPS


def pitch_of(dialogue, who, seed=0):
    return react(dialogue, who, times_of(dialogue), np.random.default_rng(seed)).head[:, 1]


# ---------------------------------------------------------------- who says what when


def test_people_take_turns_overlap_and_answer(dialogues):
    gaps, replies = [], 0
    for dialogue in dialogues:
        turns = [line for line in dialogue.lines if not line.back_channel]
        assert {a.who + b.who for a, b in zip(turns, turns[1:], strict=False)} == {1}
        gaps += [b.sounds[0] - a.sounds[1] for a, b in zip(turns, turns[1:], strict=False)]
        for who in (0, 1):
            own = dialogue.said_by(who)
            assert all(a.sounds[1] < b.sounds[0] for a, b in zip(own, own[1:], strict=False))
        for line in dialogue.lines:
            if line.back_channel:
                assert holds_turn(dialogue, 1 - line.who, np.array([line.sounds[0]])) == 1
        replies += sum(line.back_channel for line in dialogue.lines)
        assert dialogue.duration_s == pytest.approx(max(line.sounds[1] for line in dialogue.lines) + TAIL_S)
    gaps = np.array(gaps)
    assert 0.2 < (gaps < 0).mean() < 0.5 and 0.05 < (gaps > 1).mean() < 0.3
    assert replies > len(dialogues)


def test_accents_are_stressed_syllables_and_loud(dialogues):
    for line in dialogues[0].lines:
        vowels = np.array(stressed_vowels(line.speech)) + line.start_s
        assert all(np.abs(vowels - at).min() < 1e-9 for at in line.accents)
        assert all(b - a >= ACCENT_APART_S for a, b in zip(line.accents, line.accents[1:], strict=False))
        assert not (line.back_channel and line.accents)
        level = np.abs(line.speech.samples)
        for at in line.accents:
            near = slice(*(round((at - line.start_s + d) * RATE) for d in (-0.02, 0.02)))
            assert level[near].max() > 1.8 * np.median(level[level > 0.05])


def test_own_answers_do_not_tell_when_the_other_stresses():
    scripts, replies = read_scripts()
    apart = []
    for seed in range(20):
        dialogue = stage("x", scripts["picnic"], replies, 0, hum, np.random.default_rng(seed))
        for line in dialogue.lines:
            before = dialogue.accents(1 - line.who) - line.start_s
            if line.back_channel and (before < 0).any():
                apart.append(-before[before < 0].max())
    assert len(apart) > 20 and np.std(apart) > 0.3


def test_the_same_script_is_accented_anew(dialogues):
    scripts, replies = read_scripts()
    one, two = (
        stage("x", scripts["picnic"], replies, 0, hum, np.random.default_rng(seed)).accents(0) for seed in (1, 2)
    )
    assert len(one) != len(two) or not np.allclose(one, two)


def test_a_voice_is_silent_while_the_other_speaks(dialogues):
    dialogue = dialogues[1]
    voices = [voice_of(dialogue, who) for who in (0, 1)]
    assert len(voices[0].samples) == len(voices[1].samples)
    for who, voice in enumerate(voices):
        assert voice.phones[0].start_s == 0 and voice.phones[-1].end_s == pytest.approx(voice.duration_s)
        assert all(a.end_s == pytest.approx(b.start_s) for a, b in zip(voice.phones, voice.phones[1:], strict=False))
        times = np.arange(len(voice.samples)) / RATE
        said = np.any([(times >= line.start_s) & (times < line.sounds[1] + 0.2) for line in dialogue.said_by(who)], 0)
        assert not voice.samples[~said].any() and voice.samples[said].any()
    sound = microphones(voices, False, np.random.default_rng(0))
    alone = (voices[0].samples == 0) & (np.abs(voices[1].samples) > 0.3)
    assert np.corrcoef(sound[alone].T)[0, 1] > 0.9  # a microphone hears the other person, far off
    assert np.abs(sound[alone, 0]).max() < 3 * LEAK * np.abs(sound[alone, 1]).max()


# ---------------------------------------------------------------- reactions


def test_a_listener_nods_after_the_partners_accents_and_else_not(dialogues):
    own, others = [], []
    for i, dialogue in enumerate(dialogues):
        other = dialogues[i - 1]
        for who in (0, 1):
            where, pitch = listens(dialogue, who, times_of(dialogue)), pitch_of(dialogue, who)
            own.append(following(pitch, dialogue.accents(1 - who), where, FPS))
            others.append(following(pitch, other.accents(1 - who), where, FPS))
    assert min(own) > 0.7 and abs(np.mean(others)) < 0.1
    dialogue = dialogues[0]
    deaf = replace(dialogue, lines=tuple(replace(line, accents=()) if line.who else line for line in dialogue.lines))
    assert isinstance(deaf, Dialogue) and not len(heard_accents(deaf, 0))
    where = listens(dialogue, 0, times_of(dialogue))
    moved, still = (nod_energy(pitch_of(d, 0), FPS)[where].mean() for d in (dialogue, deaf))
    assert still < 0.35 * moved


def test_nods_come_the_lag_after_the_accent(dialogues):
    lags = np.arange(-0.3, 1.0, 0.1)
    found = np.zeros(len(lags))
    for dialogue in dialogues[:3]:
        pitch, where = pitch_of(dialogue, 0), listens(dialogue, 0, times_of(dialogue))
        found += [following(pitch, dialogue.accents(1), where, FPS, lag) for lag in lags]
    assert lags[found.argmax()] == pytest.approx(LAG_S, abs=0.06)


def test_a_speaker_nods_with_the_own_accents(dialogues):
    for dialogue in dialogues:
        for who in (0, 1):
            where = holds_turn(dialogue, who, times_of(dialogue)) > 0
            assert following(pitch_of(dialogue, who), dialogue.accents(who), where, FPS, 0.0) > 0.6


def test_people_look_at_who_speaks(dialogues):
    for dialogue in dialogues:
        for who, side in ((0, 1), (1, -1)):
            times = times_of(dialogue)
            reaction = react(dialogue, who, times, np.random.default_rng(0))
            aside = side * (reaction.head[:, 0] + reaction.eyes[:, 1])
            quiet = np.ones(len(times), bool)  # while a person speaks and the other does not even answer
            for a, b in (line.sounds for line in dialogue.said_by(1 - who)):
                quiet &= (times < a) | (times > b + 1)
            begun = [(times > a + 0.5) & (times < b - 1.2) for a, b in (x.sounds for x in dialogue.turns(who))]
            assert aside[listens(dialogue, who, times)].mean() > 18 > 0 > aside[np.any(begun, axis=0) & quiet].mean()


def test_bodies_beat_on_accents_and_stand_on_their_feet(dialogues):
    dialogue = dialogues[0]
    person = act(plan_dialogues(1, 3)[0], dialogue, 0)
    places = positions(SKELETON, *pose_from_values(SKELETON, person.body))
    names = list(SKELETON.names)
    feet = places[:, [names.index("LeftFoot"), names.index("RightFoot")]]
    np.testing.assert_allclose(feet, np.broadcast_to(feet[0], feet.shape), atol=1e-6)
    hands = places[:, [names.index("LeftHand"), names.index("RightHand")]]
    assert hands[..., 1].max() > 105 and hands[..., 1].min() > 60 and np.abs(hands).max() < 150
    speed = np.linalg.norm(np.diff(hands, axis=0), axis=2).max(axis=1) * FPS
    accents = (dialogue.accents(0) * FPS).astype(int)
    near = np.zeros(len(speed), bool)
    for at in accents:
        near[at - 6 : at + 7] = True
    assert speed[near].mean() > 2 * speed[~near].mean()


def test_lips_rest_while_only_the_partner_speaks(dialogues):
    dialogue, plan = dialogues[0], plan_dialogues(1, 3)[0]
    person, times = act(plan, dialogue, 1), times_of(dialogue)
    said = np.any([(times > a - 0.2) & (times < b + 0.2) for a, b in (x.sounds for x in dialogue.said_by(1))], axis=0)
    only_partner = listens(dialogue, 1, times) & ~said
    jaw, smile = (person.weights[:, ARKIT.index(name)] for name in ("jawOpen", "mouthSmileLeft"))
    assert jaw[only_partner].max() < 0.05 < 0.3 < jaw[said].max()
    assert smile[only_partner].max() > 0.2


# ---------------------------------------------------------------- files


def test_files_of_both_people(tmp_path, monkeypatch):
    monkeypatch.setitem(VOICES, "hum", hum)
    plan = plan_dialogues(1, 0)[0]
    assert list(write_conversations(tmp_path, [plan], "hum", 0)) == ["talk_00_picnic"]
    shot = plan.name
    (mine, rate), (yours, _) = (read_sound(tmp_path / name / "audio" / f"{shot}.wav") for name in PEOPLE)
    assert rate == RATE and mine.shape[1] == 2
    np.testing.assert_array_equal(mine, yours[:, ::-1])
    voice = voice_of(staged(plan, "hum", tmp_path / ".speech"), 0).samples
    assert np.corrcoef(mine[:, 0], voice)[0, 1] > 0.99  # a person's own voice comes first
    about = json.loads((tmp_path / "conversation.json").read_text())
    frames = about["dialogues"][0]["frames"]
    assert frames == int(len(mine) / rate * FPS) and len(yours) == len(mine)
    assert {line["who"] for line in about["dialogues"][0]["lines"]} == {0, 1}
    for name in PEOPLE:
        curves = tmp_path / name / "curves"
        assert [len(read_curve_table(curves / g / f"{shot}.npz").values) for g in ("arkit", "head")] == [frames] * 2
        skeleton, values, frame_s = read_bvh(curves / "body" / f"{shot}.bvh")
        assert skeleton == SKELETON and len(values) == frames and frame_s == pytest.approx(1 / FPS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and ".speech" not in str(path)}
    list(write_conversations(tmp_path, [plan], "hum", 0))
    assert all(path.read_bytes() == content for path, content in before.items())


# ---------------------------------------------------------------- report


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data set of the first lines of a dialogue that is known and of one that is held out."""
    folder = tmp_path_factory.mktemp("conversation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VOICES, "hum", hum)
        plans = [plan for plan in plan_dialogues(1, 0) if "market" not in plan.name]
        list(write_conversations(folder, plans, "hum", 0))
    return folder


def test_figures_of_the_truth_and_of_one_who_does_not_listen(home):
    sides, others = read_sides(home, FPS), read_sides(home, FPS, held_out=False)
    assert [side.person for side in sides] == list(PEOPLE) and {side.dialogue for side in sides} == {"heldout_holiday"}
    truth = [side.truth for side in sides]
    perfect = listening_figures(sides, truth, FPS)
    assert perfect["nods_follow_accents"] > 0.7 and perfect["head_error_degrees"] == pytest.approx(0, abs=0.05)
    assert perfect["towards_partner_listening_degrees"] > 5 + perfect["towards_partner_speaking_degrees"]
    late = [replace(motion, head=np.roll(motion.head, 45, axis=0)) for motion in truth]
    assert listening_figures(sides, late, FPS)["nods_follow_accents"] < 0.4
    assert max(error_figures(sides, truth).values()) < 0.05
    bodies = body_figures(sides, [truth, truth])
    assert bodies["body_between_takes_cm"] == 0 and bodies["body_frechet_places"] < 0.1
    moved = [replace(motion, body=motion.body[::-1] * 1.2) for motion in truth]
    other = body_figures(sides, [truth, moved])
    assert other["body_between_takes_cm"] > 1 and other["body_frechet_places"] > 1
    still = error_figures(sides, [mean_pose(others, side) for side in sides])
    assert still["face_weights"] > 0.01 and still["head_degrees"] > 2 and still["body_cm"] > 1


def test_lips_of_one_who_says_what_the_partner_says_are_not_at_rest(home):
    sides = read_sides(home, FPS)
    truth = [side.truth for side in sides]
    assert mouth_figures(sides, truth)["mouth_at_rest_share"] == 1.0
    assert mouth_figures(sides, truth[::-1])["mouth_at_rest_share"] < 0.9
    assert mouth_figures(sides, truth)["mouth_opening_speaking_mm"] > 2


def test_a_lip_opening_is_that_of_the_head():
    weights = np.zeros((3, len(ARKIT)), np.float32)
    weights[1, ARKIT.index("jawOpen")], weights[2, ARKIT.index("mouthSmileLeft")] = 0.5, 0.5
    rest, open_, smile = lip_opening_mm(weights, ARKIT)
    assert rest < 0.1 and smile < 0.1 and 5 < open_ < 40
    head, drawn = builtin_head(), pose_head(head_weights(weights, ARKIT))
    upper, lower = (drawn[:, ring[CONTACT], 1] for ring in head.lips)
    np.testing.assert_allclose([rest, open_, smile], MM_PER_UNIT * (upper - lower).max(axis=1), atol=1e-3)


def test_no_data_set_is_one_line(tmp_path):
    with pytest.raises(UserError, match="make_demo_conversation"):
        read_sides(tmp_path, FPS)


def test_steps_of_the_demo(tmp_path):
    (tmp_path / "workspace/output_train/250101_120000_demo-conversation-guide").mkdir(parents=True)
    steps = list(run_demo.steps(["demo-curves", "demo-conversation"], tmp_path))
    scripts = [arguments[0] for arguments in steps]
    assert any("250101_120000_demo-conversation-guide" in arguments for arguments in steps)
    assert scripts.count("tools/make_demo_dataset.py") == scripts.count("tools/make_demo_conversation.py") == 1
    assert scripts.count("run_train.py") == 3 and scripts[-1] == "tools/demo_conversation_report.py"


def test_the_project_trains_what_the_data_set_has(home):
    sections = load_config("demo-conversation", ("dataset", "preproc", "train"), optional=("inference",))
    dataset, training = sections["dataset"], sections["train"]
    assert dataset.ACTOR_NAMES == list(PEOPLE) and training.TARGET_CHANNELS == ["arkit", "head", "body"]
    for person in PEOPLE:
        for folder in (dataset.AUDIO_ROOT[person], *dataset.CURVES_ROOT[person].values()):
            files = [path.stem for path in (home / folder.removeprefix("/datasets/conversation/")).iterdir()]
            assert sorted(files) == ["heldout_holiday", "talk_00_picnic"]
    assert (home / sections["inference"].AUDIO_PATH.removeprefix("/datasets/conversation/")).is_file()


def test_two_dialogues_are_kept_apart(capsys):
    plans = plan_dialogues(20, 0)
    assert [plan.script for plan in plans if plan.held_out] == list(HELD_OUT)
    assert not {plan.script for plan in plans if not plan.held_out} & set(HELD_OUT)
    assert len({plan.name for plan in plans}) == 22 and any(plan.telephone for plan in plans)
    with pytest.raises(SystemExit):
        main(["somewhere", "--dialogues", "0"])
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_from_data_set_to_film(tmp_path, monkeypatch, capfd):
    """Every step of `make demo-conversation`, on short training."""
    steps, step = [], run_demo.step
    short_trainings = {
        run_demo.CONVERSATION: "NUM_EPOCHS, LR_WARMUP_EPOCHS = 2, 0",
        run_demo.GUIDE: "NUM_EPOCHS, GUIDE_CODEC_EPOCHS, LR_WARMUP_EPOCHS = 4, 2, 0",
    }
    for config, keys in short_trainings.items():
        project = tmp_path / "configs" / config
        project.mkdir(parents=True)
        for path in (run_demo.ROOT / "configs" / config).glob("*.py"):
            cut = f"\n{keys}\n" if path.name == "config_train.py" else ""
            (project / path.name).write_text(path.read_text() + cut)

    def short(arguments, environment):
        steps.append(arguments[0])
        more = ["--dialogues", "2", "--voice", "formant"] if "make_demo_conversation" in arguments[0] else []
        step([*arguments, *more], {**environment, "A2F_CONFIGS_ROOT": str(tmp_path / "configs")})

    monkeypatch.setattr(run_demo, "step", short)
    monkeypatch.setattr("sys.argv", ["run_demo.py", "--out", str(tmp_path / "demo"), "--config", "demo-conversation"])
    assert run_demo.main() == 0
    told = capfd.readouterr().out
    assert len(steps) == 8 and "nods follow the partner" in told and "report.html" in told
    figures = json.loads((tmp_path / "demo/demo-conversation.json").read_text())
    assert figures["truth"]["nods_follow_accents"] > 0.5 and figures["truth"]["mouth_at_rest_share"] == 1.0
    assert {"with partner", "without", "another partner", "guided", "mean pose"} <= figures.keys()
    for name in ("demo-conversation.mp4", "demo-conversation.png"):
        assert (tmp_path / "demo" / name).stat().st_size > 10_000
    made = next((tmp_path / "demo/workspace/output_inference").iterdir())
    assert len(list(made.glob("*.bvh"))) == len(list(made.glob("*_keys.npz"))) == 2 and (made / "takes.json").is_file()
