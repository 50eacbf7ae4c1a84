"""A clean data set gives no finding; every fault put into it is found and named."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from fakes.actor import ACTOR, FPS, NUM_FRAMES, RATE, SHOTS, actor
from fakes.doctor_faults import FAULTS, SHOT, delayed, move_shot, rename
from numpy.testing import assert_allclose

from audio2face.config import section_from_values
from audio2face.dataset.checks import build_captured
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.quick_check import accept, check_trained, raise_errors, report_problems
from audio2face.doctor.check import full_check
from audio2face.doctor.fix import write_fixed_copy
from audio2face.doctor.html import html_report
from audio2face.doctor.quick import build_checked, quick_check
from audio2face.doctor.repair import fill_lost_frames
from audio2face.doctor.report import as_json, shot_lines, text_table
from audio2face.doctor.stats import frames_to_sample
from audio2face.face.frames import resample_frames
from audio2face.formats import ANIMATION_WRITERS
from audio2face.importing.folder import survey
from audio2face.problems import UserError, by_level
from audio2face.runs.preproc_run import PreprocRun
from runners import check_dataset


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return actor(tmp_path_factory.mktemp("clean") / "tiny")


@pytest.fixture
def data(clean, tmp_path):
    """A copy to spoil."""
    shutil.copytree(clean.home, tmp_path / "tiny")
    moved = {
        key: {actor: value.replace(str(clean.home), str(tmp_path / "tiny")) if isinstance(value, str) else value}
        for key, entry in clean.dataset.items()
        if isinstance(entry, dict)
        for actor, value in entry.items()
    }
    yield type(clean)(tmp_path / "tiny", {**clean.dataset, **moved}, {**clean.preproc}, {**clean.train})
    shutil.rmtree(tmp_path)  # pytest keeps the folders of three sessions


def above_info(findings):
    return [finding for finding in findings if finding.level != "info"]


def test_clean_data_gives_no_finding(clean):
    assert not above_info(quick_check(clean.sections(), [ACTOR]))
    report = full_check(clean.sections(), [ACTOR])[0]
    assert not above_info(report.findings)
    assert set(report.lags) == set(SHOTS)
    assert all(abs(lag.frames) < 0.5 for lag in report.lags.values())


@pytest.mark.parametrize(
    ("name", "mapping", "told"),
    [("a1_happy", [], True), ("a1_happy", [(ACTOR, "a1_happy", "neutral")], False), ("a1_fastneutral", [], False)],
)
def test_a_shot_that_is_known_to_be_neutral_is_not_questioned(data, name, mapping, told):
    for kind in ("skin", "tongue"):
        move_shot(data, kind, SHOTS[0], name)
    rename(data.sound(), f"{name}.wav")
    data.dataset["SHOT_EMOTION_MAP"] = mapping
    found = [f for f in quick_check(data.sections(), [ACTOR]) if f.rule == "shots.emotion"]
    assert [f.level for f in found] == ["warning"] * told


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_named(data, fault):
    fault.spoil(data)
    sections = data.sections()
    found = quick_check(sections, [ACTOR]) if fault.quick else full_check(sections, [ACTOR])[0].findings
    told = [f for f in found if f.rule == fault.check and f.level == fault.level and fault.text in str(f)]
    assert told, "\n".join(map(str, above_info(found))) or "nothing found"
    assert all(f.where.actor == ACTOR and f.what for f in told)


def test_quick_and_full_check_agree_on_what_both_see(data):
    data.edit_sound(lambda x: x[: 90 * RATE // FPS], SHOT)
    quick = {str(f) for f in quick_check(data.sections(), [ACTOR])}
    assert quick <= {str(f) for f in full_check(data.sections(), [ACTOR])[0].findings}


def test_everything_is_told_at_once(data):
    data.edit_sound(delayed(4), SHOTS[0])
    data.edit_sound(lambda x: x * 0, SHOTS[1])
    data.edit(data.skin(SHOTS[3]), lambda x: np.repeat(x[:1], len(x), axis=0))
    (data.home / "geom/skin/neutral_pose.npy").unlink()
    found = full_check(data.sections(), [ACTOR])[0].findings
    assert {"sync.shot", "audio.silence", "cache.static", "structure"} <= {f.rule for f in by_level(found, "error")}
    with pytest.raises(UserError) as caught:
        raise_errors(found)
    *lines, hint = caught.value.lines
    assert len(lines) == len(by_level(found, "error")) and "SKIP_DATA_CHECKS = ['audio.silence', " in hint


def test_data_that_git_lfs_has_not_fetched_is_one_line(data):
    (data.home / ".git").mkdir()
    paths = [path for folder in ("audio", "cache", "geom") for path in data.home.glob(f"{folder}/**/*.[nw]*")]
    for path in paths:
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 99999\n")
    line = f"{data.home}: {len(paths)} files are git-lfs pointers"
    sections = data.sections()
    for found in (quick_check(sections, [ACTOR]), full_check(sections, [ACTOR])[0].findings):
        assert [f.what.startswith(line) for f in found] == [True] and f"'git lfs pull' in {data.home}" in found[0].what
    with pytest.raises(UserError) as caught:
        build_captured(sections, ACTOR)[1].raise_errors()
    assert len(caught.value.lines) == 1 and caught.value.lines[0].startswith(line)
    with pytest.raises(UserError, match="git-lfs pointers"):
        survey(data.home, 30.0)


def test_training_does_without_caches_that_git_lfs_has_not_fetched(data):
    for path in data.home.glob("cache/*/*/*.npy"):
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    sections = data.sections()
    assert DatasetFiles.from_config(sections["dataset"], ACTOR).shots() == list(SHOTS)
    with pytest.raises(UserError, match=f"{2 * len(SHOTS)} files are git-lfs pointers"):
        build_captured(sections, ACTOR)[1].raise_errors()


def test_a_finding_is_accepted_by_the_name_of_its_check(data):
    data.edit_sound(lambda x: x * 0, SHOTS[1])
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x + [0, 4, 0])
    (data.home / "geom/skin/lip_open_pose_delta.npy").unlink()
    for accepted, left in (
        ([], {"geometry.neutral", "audio.silence"}),
        (["geometry.*"], {"audio.silence"}),
        (["*"], set()),
    ):
        data.dataset["SKIP_DATA_CHECKS"] = accepted
        found = full_check(data.sections(), [ACTOR])[0].findings
        assert {f.rule for f in by_level(found, "error")} == left | {"structure"}
        told = [f for f in found if f.rule == "geometry.neutral"]
        assert [f.level for f in told] == ["info" if accepted else "error"]


def test_preprocessing_stops_at_errors_and_goes_on_with_warnings(data, caplog):
    data.edit_sound(lambda x: x[: 140 * RATE // FPS], SHOT)  # a warning
    assert build_checked(data.sections(), ACTOR).shots
    assert caplog.text.count("140 frames would match") == 1
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x + [0, 4, 0])
    (data.home / "geom/skin/lip_open_pose_delta.npy").unlink()
    with pytest.raises(UserError) as caught:
        build_checked(data.sections(), ACTOR)
    missing, moved, hint = caught.value.lines
    assert missing.startswith("SKIN_LIP_OPEN_POSE_DELTA_FPATH of actor")
    assert moved.endswith("[geometry.neutral]") and "SKIP_DATA_CHECKS = ['geometry.neutral']" in hint
    assert [p.rule for p in caught.value.problems] == ["structure", "geometry.neutral", ""]


def test_training_stops_at_what_is_wrong_with_what_it_reads(data, caplog):
    shots = build_captured(data.sections(), ACTOR)[0].shots
    run = PreprocRun(data.home, "run", ACTOR, {}, tuple(shots))
    for path in data.home.glob("cache/*/*/*.npy"):
        path.write_bytes(b"")  # not read

    def check():
        sections = data.sections()
        files = {ACTOR: DatasetFiles.from_config(sections["dataset"], ACTOR)}
        found = check_trained(sections["dataset"], sections["train"], {ACTOR: run}, files)
        report_problems(accept(found, sections["dataset"].SKIP_DATA_CHECKS))

    data.edit_sound(lambda x: x[: 140 * RATE // FPS], SHOT)
    check()
    assert "140 frames would match" in caplog.text
    data.edit_npz("eye_rotations_all.npz", lambda x: {k: np.radians(v) for k, v in x.items()})
    with pytest.raises(UserError) as caught:
        check()
    (line, hint) = caught.value.lines
    assert line.endswith("[eye.radians]") and "SKIP_DATA_CHECKS = ['eye.radians']" in hint
    data.dataset["SKIP_DATA_CHECKS"] = ["eye.*"]
    check()


@pytest.mark.parametrize("spoil", ["header", "motion", "cache"])
def test_a_file_that_cannot_be_read_is_one_problem_for_all_who_check(data, spoil):
    paths = {"header": data.sound(), "motion": data.home / "xform/eye_rotations_all.npz", "cache": data.skin(SHOT)}
    paths[spoil].write_bytes(b"nothing")
    errors = build_captured(data.sections(), ACTOR)[1].errors
    assert len(errors) == 1 and errors[0].rule == "structure" and paths[spoil].name in errors[0].what
    assert [p for p in quick_check(data.sections(), [ACTOR]) if p.rule == "structure"] == errors


@pytest.mark.parametrize("frames", [-7, -3, 3, 5, 10])
def test_a_shift_is_measured_within_a_frame(data, frames):
    data.edit_sound(delayed(frames), SHOT)
    report = full_check(data.sections(), [ACTOR])[0]
    assert_allclose(report.lags[SHOT].frames, frames, atol=1)
    assert [f.where.shot for f in report.findings if f.rule == "sync.shot"] == [SHOT]


def test_the_mouth_is_found_without_a_lip_list(data):
    for key in [
        k for k in data.dataset if k.startswith(("SKIN_", "TONGUE_", "JAW_", "EYE_")) and k != "SKIN_CACHE_ROOT"
    ]:
        del data.dataset[key]
    data.edit_sound(delayed(4), SHOT)
    report = full_check(data.sections(), [ACTOR])[0]
    assert [f.where.shot for f in above_info(report.findings)] == [SHOT]


def test_other_voices_are_checked_too(data):
    voice = data.home / "audio/aug/voice_b"
    voice.mkdir(parents=True)
    for shot in SHOTS:
        shutil.copy(data.sound(shot), voice)
    samples, _ = soundfile.read(data.sound(SHOT))
    soundfile.write(voice / f"{SHOT}.wav", samples[: len(samples) // 2], RATE)
    found = above_info(quick_check(data.sections(), [ACTOR]))
    assert [(f.rule, "voice_b" in f.where.file) for f in found] == [("audio.length", True)]


# ---- the corrected copy


def checked_copy(data, out):
    """Write the corrected copy and check it; returns the findings above info and the changes."""
    reports = full_check(data.sections(), [ACTOR])
    changes = write_fixed_copy(data.sections(), reports, out)
    values = {}
    exec((out / "config_dataset.py").read_text(), values)  # a config module, just written
    config = {key: value for key, value in values.items() if key.isupper()}
    rows = [(ACTOR, s, (0, 20), "", "en", f"{s}.wav", 0) for s in SHOTS]
    sections = {
        "dataset": section_from_values("dataset", config),
        "preproc": section_from_values("preproc", data.preproc),
        "train": section_from_values("train", {**data.train, "CLIPS": rows}),
    }
    return above_info(full_check(sections, [ACTOR])[0].findings), changes[ACTOR]


def snapshot(home):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(home.rglob("*"))}


def test_the_copy_of_faulty_data_is_clean_and_the_original_untouched(data, tmp_path):
    (data.home / "cache/skin/.DS_Store").write_bytes(b"x")
    rename(data.sound(SHOTS[0]), "A1_Neutral.wav")
    data.edit_sound(delayed(4), SHOTS[1])
    data.edit_sound(lambda x: x[: 130 * RATE // FPS], SHOTS[2])
    data.edit_sound(lambda x: np.pad(x, ((0, RATE), (0, 0))), SHOTS[3])
    data.edit_sound(lambda x: np.concatenate([x, x * 0], axis=1), SHOTS[4])

    def lose(x):
        x[50:52] = np.nan
        return x

    data.edit(data.skin(SHOTS[5]), lose)
    data.edit_npz(
        "jaw_keypoints_cache_all.npz",
        lambda x: {k.replace("a3_joy", "A3_Joy"): v for k, v in x.items()} | {"b": x[SHOT]},
    )
    before = snapshot(data.home)
    left, changes = checked_copy(data, tmp_path / "fixed")
    assert not left, "\n".join(map(str, left))
    assert snapshot(data.home) == before
    text = "\n".join(changes)
    for expected in ("A1_Neutral.wav renamed", "a2_neutral.wav: moved", "a3_joy: animation cut from 150 to 130", "a4_neutral.wav: cut",
                     "a5_joy.wav: one channel kept", "2 lost frame(s)", "'A3_Joy' renamed", "'b' left out"):  # fmt: skip
        assert expected in text
    assert not list((tmp_path / "fixed").rglob(".DS_Store"))
    with np.load(tmp_path / "fixed" / ACTOR / "xform/jaw_keypoints_cache_all.npz") as jaw:
        assert jaw[SHOT].shape[0] == 130
    moved, _ = soundfile.read(tmp_path / "fixed" / ACTOR / f"audio/{SHOTS[1]}.wav")
    assert (
        abs(len(moved) / RATE * FPS - len(np.load(tmp_path / f"fixed/{ACTOR}/cache/skin/{SHOTS[1]}/{SHOTS[1]}.npy")))
        <= 1
    )


def test_a_cache_of_another_rate_is_resampled_by_time(data, tmp_path):
    frames = np.load(data.skin(SHOT))
    data.skin(SHOT).unlink()
    at_24 = resample_frames(frames, FPS, 24.0)
    ANIMATION_WRITERS["maya"](data.skin(SHOT).with_suffix(""), at_24, 24.0, "face")
    checked_copy(data, tmp_path / "fixed")
    restored = np.load(tmp_path / f"fixed/{ACTOR}/cache/skin/{SHOT}/{SHOT}.npy")
    assert abs(len(restored) - NUM_FRAMES) <= 1
    assert np.abs(restored - frames[: len(restored)]).mean() < 0.02


def test_sounds_that_are_all_late_are_all_moved(data, tmp_path):
    for shot in SHOTS:
        data.edit_sound(delayed(6), shot)
    left, changes = checked_copy(data, tmp_path / "fixed")
    assert not left
    assert sum("moved by -" in change for change in changes) == len(SHOTS)


def test_a_low_rate_is_brought_to_16_khz(data, tmp_path):
    data.edit_sound(lambda x: x[::2], SHOT, rate=8000)
    checked_copy(data, tmp_path / "fixed")
    assert soundfile.info(tmp_path / f"fixed/{ACTOR}/audio/{SHOT}.wav").samplerate == 16000


def test_compressed_sounds_are_speech_and_their_corrected_copies_wav(data, tmp_path):
    samples = soundfile.read(data.sound(SHOT))[0]
    for shot, more in ((SHOT, np.zeros(RATE)), (SHOTS[0], np.zeros(0))):
        data.sound(shot).unlink()
        with soundfile.SoundFile(data.sound(shot).with_suffix(".ogg"), "w", RATE, 1, format="OGG") as file:
            file.write(np.concatenate([samples if shot == SHOT else soundfile.read(data.sound(SHOTS[1]))[0], more]))
    data.train["CLIPS"] = [
        (*row[:5], f"{row[1]}.ogg", 0) if row[1] in (SHOT, SHOTS[0]) else row for row in data.train["CLIPS"]
    ]
    told = {(f.rule, f.where.shot) for f in above_info(quick_check(data.sections(), [ACTOR]))}
    assert told == {("audio.length", SHOT)}, told
    _, changes = checked_copy(data, tmp_path / "fixed")
    assert f"{SHOT}.ogg renamed to {SHOT}.wav" in changes
    sounds = {path.name for path in (tmp_path / f"fixed/{ACTOR}/audio").iterdir()}
    assert {f"{SHOT}.wav", f"{SHOTS[0]}.ogg"} <= sounds and len(sounds) == len(SHOTS)
    assert soundfile.info(tmp_path / f"fixed/{ACTOR}/audio/{SHOT}.wav").duration == pytest.approx(NUM_FRAMES / FPS)


def test_headers_of_pipes_are_set_right_to_the_bit(data, tmp_path):
    samples = np.random.default_rng(0).integers(-(2**23), 2**23, NUM_FRAMES * RATE // FPS).astype(np.int32) << 8
    soundfile.write(data.sound(SHOT), samples, RATE, subtype="PCM_24")
    content = data.sound(SHOT).read_bytes()
    at = content.index(b"data") + 4
    data.sound(SHOT).write_bytes(content[:4] + b"\xff" * 4 + content[8:at] + b"\xff" * 4 + content[at + 4 :])
    _, changes = checked_copy(data, tmp_path / "fixed")
    copy = tmp_path / f"fixed/{ACTOR}/audio/{SHOT}.wav"
    assert copy.read_bytes() == content and f"{SHOT}.wav: its length entered in the header" in changes


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_an_animation_is_not_cut_to_nothing(data, tmp_path, seconds):
    data.edit_sound(lambda x: x[: int(seconds * RATE)], SHOT)
    sound = data.sound(SHOT).read_bytes()
    before = len(above_info(full_check(data.sections(), [ACTOR])[0].findings))
    left, changes = checked_copy(data, tmp_path / "fixed")
    copy = tmp_path / f"fixed/{ACTOR}"
    assert len(np.load(copy / f"cache/skin/{SHOT}/{SHOT}.npy")) == len(
        np.load(copy / f"cache/tongue/{SHOT}/{SHOT}.npy")
    )
    for name in ("jaw_keypoints_cache_all.npz", "eye_rotations_all.npz"):
        with np.load(copy / "xform" / name) as motion:
            assert len(motion[SHOT]) == NUM_FRAMES
    assert (copy / f"audio/{SHOT}.wav").read_bytes() == sound and len(left) <= before
    assert f"{SHOT}: its sound lasts only {seconds:.2f} s: {NUM_FRAMES} frames are kept" in changes


def test_the_copy_never_goes_over_something(data, tmp_path):
    reports = full_check(data.sections(), [ACTOR])
    with pytest.raises(UserError, match="already exists"):
        write_fixed_copy(data.sections(), reports, data.home)
    with pytest.raises(UserError, match="inside the data"):
        write_fixed_copy(data.sections(), reports, data.home / "audio/new")


def test_frames_are_resampled_along_straight_lines():
    line = np.arange(25.0)[:, None] * 2
    assert_allclose(resample_frames(line, 24, 60)[:, 0], np.arange(61) * 0.8, rtol=1e-6)
    assert len(resample_frames(np.zeros((1, 3)), 24, 60)) == 1


def test_short_gaps_are_filled_and_long_ones_left():
    x = np.arange(20.0)[:, None]
    x[5:7] = np.nan
    x[10:14] = np.nan
    filled, count = fill_lost_frames(x)
    assert count == 2
    assert_allclose(filled[4:8, 0], [4, 5, 6, 7])
    assert np.isnan(filled[10:14]).all()


# ---- reports and the command


def test_reports_say_everything_and_load_nothing(data):
    data.edit_sound(delayed(4), SHOT)
    reports = full_check(data.sections(), [ACTOR])
    text, page, content = text_table(reports[0].findings), html_report(reports, "<Tiny>"), as_json(reports)
    assert "sync.shot" in text and SHOT in text and "1 error" in text
    line = next(line for line in shot_lines(reports[0]).splitlines() if line.startswith(SHOT))
    assert "joy" in line and "en" in line and "16000" in line
    assert "sync.shot" in page and "<svg" in page and "&lt;Tiny&gt;" in page
    assert not any(word in page for word in ("http:", "https:", "<script", "@import", "url("))
    assert content["counts"]["error"] == 1
    assert content["findings"][0]["where"]["shot"] == SHOT
    shots = {row["shot"]: row for row in content["actors"][ACTOR]["shots"]}
    assert_allclose(shots[SHOT]["late_frames"], 4, atol=1)
    json.dumps(content, allow_nan=False)


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    folder = tmp_path / "configs/tiny"
    folder.mkdir(parents=True)
    for kind in ("dataset", "preproc", "train"):
        lines = [f"{key} = {value!r}" for key, value in getattr(data, kind).items()]
        (folder / f"config_{kind}.py").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(tmp_path / "configs"))
    return data


def test_the_command_on_clean_and_faulty_data(project, tmp_path, capsys):
    assert check_dataset.main(["tiny", "--fast"]) == 0
    assert "0 errors" in capsys.readouterr().out
    project.edit_sound(delayed(4), SHOT)
    (tmp_path / "configs/tiny/config_train.py").unlink()
    files = [tmp_path / "report.json", tmp_path / "report.html"]
    assert (
        check_dataset.main(
            ["tiny", ACTOR, "--json", str(files[0]), "--html", str(files[1]), "--fix", str(tmp_path / "new")]
        )
        == 2
    )
    assert all(path.is_file() for path in files) and (tmp_path / "new/config_dataset.py").is_file()
    assert "late" in capsys.readouterr().out
    assert check_dataset.main(["tiny", "nobody"]) == 2
    assert "ACTOR_NAMES" in capsys.readouterr().err
    assert check_dataset.main(["tiny", "--fast", "--html", "x.html"]) == 2


def test_places_that_cannot_be_written_are_told_before_anything_is_read(project, tmp_path, capsys):
    folder = str(tmp_path)
    assert check_dataset.main(["tiny", "--json", folder, "--html", folder]) == 2
    told = capsys.readouterr()
    assert not told.out and f"--json {folder} is a folder" in told.err and f"--html {folder} is a folder" in told.err
    assert check_dataset.main(["tiny", "--fix", folder]) == 2
    told = capsys.readouterr()
    assert not told.out and "already exists" in told.err


def test_few_shots_are_sampled_densely_enough_to_see_the_lips_part(data):
    assert [frames_to_sample(n) for n in (0, 1, 3, 50, 400)] == [150, 150, 50, 3, 3]
    rest = np.load(data.home / "geom/skin/neutral_pose.npy")

    def closed_where_three_samples_look(frames):
        frames = frames.copy()
        frames[[0, (len(frames) - 1) // 2, -1]] = rest
        return frames

    data.edit_all(closed_where_three_samples_look)
    assert not [f for f in quick_check(data.sections(), [ACTOR]) if f.rule.startswith(("lists.", "config.prune"))]


def test_a_shot_unlike_the_others_spoils_no_other_finding(data):
    data.edit(data.skin(SHOT), lambda x: x * 10)
    found = above_info(full_check(data.sections(), [ACTOR])[0].findings)
    assert {f.rule for f in found if f.where.shot != SHOT} == set(), "\n".join(map(str, found))
    assert "0.1 times as large it would fit" in str(found[0])


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        check_dataset.main(["--help"])
    assert "python -m runners.check_dataset demo-regression" in capsys.readouterr().out


# ---- proposed vertex lists


@pytest.mark.parametrize("given", [True, False])
def test_lips_and_lids_are_proposed_from_rest_and_motion(clean, given):
    from fakes.actor import Face

    from audio2face.geometry.vertex_lists import propose_lists
    from audio2face.render.page import proposal_page

    rest = np.load(clean.home / "geom/skin/neutral_pose.npy")
    motion = np.concatenate([np.load(clean.skin(shot)) for shot in SHOTS])
    closed = np.load(clean.home / "geom/skin/eye_close_pose_delta.npy") if given else None
    proposal = propose_lists(rest, motion, closed)
    place = Face().place
    assert not proposal.missing
    assert set(proposal.pairs["lip_dist"][0]) == set(place["upper"])
    assert set(proposal.pairs["lip_dist"][1]) == set(place["lower"])
    assert proposal.pairs["eye_dist"][0].tolist() == place["lid_up"]
    assert rest[proposal.pairs["eye_dist"][0][0], 0] > 0
    page = proposal_page(rest, proposal, "tiny")
    assert page.count("<svg") == 6 and "http" not in page
    json.dumps(proposal.lists())


PARTS = {
    "no back of the head": lambda rest: rest[:, 2] > 7.2,
    "nothing above the brows": lambda rest: rest[:, 1] < 5,
    "nothing below the chin": lambda rest: rest[:, 1] > -7,
    "few vertices": lambda rest: (np.arange(len(rest)) % 3 == 0) | (np.arange(len(rest)) >= 440),
}


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("part", PARTS)
def test_lips_and_lids_of_parts_of_a_face(clean, part, mirrored, given, monkeypatch):
    from fakes.actor import Face

    from audio2face.geometry import vertex_lists as propose

    monkeypatch.setattr(propose, "BLOCK", 10)  # of pairs at a time
    side = np.array([-1, 1, 1]) if mirrored else np.ones(3)
    rest, closed, opened = (
        side * np.load(clean.home / f"geom/skin/{name}.npy")
        for name in ("neutral_pose", "eye_close_pose_delta", "lip_open_pose_delta")
    )
    motion = side * np.concatenate([np.load(clean.skin(shot)) for shot in SHOTS])
    kept = np.flatnonzero(PARTS[part](rest))
    poses = (closed[kept], opened[kept]) if given else ()
    proposal = propose.propose_lists(rest[kept], motion[:, kept], *poses)
    place = Face().place
    assert not proposal.missing
    for found, name in zip(proposal.pairs["lip_dist"], ("upper", "lower"), strict=True):
        assert set(kept[found]) == set(place[name])
    for found, name in zip(proposal.pairs["eye_dist"], ("lid_up", "lid_low"), strict=True):
        assert kept[found].tolist() == place[name][:: -1 if mirrored else 1]


@pytest.mark.parametrize("given", [True, False])
def test_one_eye_is_not_taken_for_two(clean, given):
    from audio2face.geometry.vertex_lists import propose_lists

    rest = np.load(clean.home / "geom/skin/neutral_pose.npy")
    kept = np.flatnonzero(rest[:, 0] > -0.5)
    motion = np.concatenate([np.load(clean.skin(shot)) for shot in SHOTS])[:, kept]
    closed = np.load(clean.home / "geom/skin/eye_close_pose_delta.npy")[kept] if given else None
    proposal = propose_lists(rest[kept], motion, closed)
    assert "eye_dist" not in proposal.pairs and "two eyes" in proposal.missing[-1]


def test_nothing_is_proposed_from_a_still_face(clean):
    from audio2face.geometry.vertex_lists import propose_lists

    rest = np.load(clean.home / "geom/skin/neutral_pose.npy")
    proposal = propose_lists(rest, np.repeat(rest[None], 3, axis=0))
    assert not proposal.pairs and len(proposal.missing) == 2


# ---- the demo data set


@pytest.mark.slow
def test_the_demo_data_set_is_clean_and_a_shift_of_three_frames_is_found(tmp_path, monkeypatch):
    import subprocess
    import sys
    from pathlib import Path

    from audio2face.config import load_config

    tool = Path(__file__).resolve().parents[2] / "tools/make_demo_dataset.py"
    subprocess.run([sys.executable, tool, tmp_path / "demo", "--shots", "8"], check=True, capture_output=True)
    monkeypatch.setenv("A2F_DATASETS_ROOT", str(tmp_path))
    sections = load_config("demo-regression", ("dataset", "preproc", "train"))
    report = full_check(sections, ["demo"])[0]
    assert not by_level(report.findings, "error")
    shot = max(report.lags.values(), key=lambda lag: lag.correlation).shot
    path = report.sounds[shot].path
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.concatenate([np.zeros(rate // 10), samples])[: len(samples)], rate, subtype="PCM_16")
    report = full_check(sections, ["demo"])[0]
    assert [f.where.shot for f in by_level(report.findings, "error")] == [shot]
    lags = report.lags
    usual = np.median([lag.frames for name, lag in lags.items() if name != shot])
    assert_allclose(lags[shot].frames - usual, 3, atol=1)
