"""Config: merging, freezing, every kind of mistake with its place, the documentation of the keys, explain_config."""

import copy
import importlib
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audio2face.config import DELETE, KINDS, Section, load_config, project_folder, section_from_values
from audio2face.config.base import BY_METHOD, EVERY, NETWORK_TYPES, base_module, defaults, schema
from audio2face.config.docs import read_module_doc
from audio2face.config.nested import HYPER_PARAMS, NETWORK_METHODS, Schema
from audio2face.config.streaming import streaming_entry
from audio2face.problems import UserError
from runners import explain_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ["example-regression", "example-regression-min", "example-diffusion", "example-diffusion-min"]
DATASET = (
    'ACTOR_NAMES = ["amy"]\nCACHE_FPS = {"amy": 30}\nAUDIO_ROOT = {"amy": "/a"}\nSKIN_CACHE_ROOT = {"amy": "/s"}\n'
)
CLIP = ("amy", "s1", (0, 9), "amy", "en", "s1.wav", 0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes files of the project `mine`; `dataset=...` is config_dataset.py, `shared=...` is shared.py."""
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(tmp_path))

    def write(name="mine", **files):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for stem, text in files.items():
            file = folder / (f"config_{stem}.py" if stem in KINDS else f"{stem}.py")
            file.write_text(text, encoding="utf-8")
        return folder

    return write


def mistakes(*args, **kwargs):
    with pytest.raises(UserError) as caught:
        load_config(*args, **kwargs)
    return caught.value.lines


def problems_of(kind, values, network_type=None):
    with pytest.raises(UserError) as caught:
        section_from_values(kind, values, network_type)
    return caught.value.lines


# Base modules, schemas, documentation


@pytest.mark.parametrize("kind, method", EVERY)
def test_defaults_pass_their_own_check(kind, method):
    base = defaults(kind, method)
    assert base and section_from_values(kind, {}, method).values == base


@pytest.mark.parametrize("kind, method", EVERY)
def test_what_a_key_may_be_comes_from_its_annotation(kind, method):
    modules = [base_module(kind, method)] + [f"audio2face.config_base.config_{kind}_common"] * (kind in BY_METHOD)
    annotated = [name for module in modules for name in inspect.get_annotations(importlib.import_module(module))]
    fields, upper = set(schema(kind, method).model_fields), {name for name in annotated if name.isupper()}
    if method == "guide" and kind in BY_METHOD:  # it leaves keys out, and takes some of diffusion over
        own = inspect.get_annotations(importlib.import_module(base_module(kind, method)))
        others = inspect.get_annotations(importlib.import_module(base_module(kind, "diffusion")))
        assert set(own) <= fields <= upper | set(others)
    else:
        assert fields == upper and len(set(annotated)) == len(annotated)


@pytest.mark.parametrize("kind", BY_METHOD)
def test_keys_with_one_manual_for_both_methods_are_written_once(kind):
    regression, diffusion = (
        {doc.name: doc for doc in read_module_doc(kind, method).keys} for method in NETWORK_TYPES[:2]
    )
    shared = inspect.get_annotations(importlib.import_module(f"audio2face.config_base.config_{kind}_common"))
    assert {name for name, doc in regression.items() if diffusion.get(name) == doc} == {
        name for name in shared if name.isupper()
    }


@pytest.mark.parametrize("network", HYPER_PARAMS)
def test_hyper_parameters_of_the_base_are_those_of_the_schema(network):
    method = NETWORK_METHODS[network]
    assert set(section_from_values("train", {"NETWORK_NAME": network}, method).NETWORK_HYPER_PARAMS) == set(
        HYPER_PARAMS[network].model_fields
    )


def test_defaults_that_existing_models_depend_on():
    preproc, regression = section_from_values("preproc", {}), section_from_values("train", {})
    diffusion = section_from_values("train", {}, "diffusion")
    assert (preproc.SKIN_PRUNE_SIM_DIST, preproc.SKIN_SELECT_DISTINCT_MAX_ITER) == (4.0, 787)
    assert preproc.DEFAULT_TONGUE_PCA_SHAPE == (10, 520, 3)
    assert regression.AUDIO_PARAMS == {"buffer_len": 8320, "buffer_ofs": 4160, "samplerate": 16000}
    assert regression.AUGMENT == {"timeshift": 1.0}
    assert (regression.LEARNING_RATE, regression.LR_STEP_GAMMA, regression.NUM_EPOCHS) == (0.0002, 0.994, 50)
    assert (diffusion.LEARNING_RATE, diffusion.BATCH_SIZE, diffusion.GRADIENT_ACCUMULATION_STEPS) == (5e-5, 1, 4)
    assert diffusion.AUGMENT == {"timeshift": 0.0, "pitch_shift": {"min_semitones": -2, "max_semitones": 2, "p": 0.2}}
    assert (diffusion.LOSS_LIP_DIST_ALPHA, diffusion.LOSS_EXP_SMOOTH_ALPHA, diffusion.TONGUE_WEIGHT) == (
        1e-5,
        25.0,
        0.1,
    )
    smoothing = {
        method: section_from_values("inference", {}, method).CONFIG["upper_face_smoothing"]
        for method in ("regression", "diffusion")
    }
    assert smoothing == {"regression": 0.001, "diffusion": 0.003}


@pytest.mark.parametrize("kind, method", EVERY)
def test_every_key_is_documented(kind, method):
    doc = read_module_doc(kind, method)
    assert doc.intro
    assert [key.name for key in doc.keys] == list(section_from_values(kind, {}, method).values)

    def check(key):
        assert key.heading and (key.text or key.name in ("60", "30")), key
        for entry in key.entries:
            if key.name != "30" and entry.name != "30":
                check(entry)
        if not key.entries:
            assert key.type and key.change, f"{key.name} needs a `Type:` and a `Change:` line"
            assert key.type.endswith(".") and key.change.endswith("."), key

    for key in doc.keys:
        check(key)


def test_the_reference_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "tools/config_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_reference_page_names_every_key():
    page = (ROOT / "docs" / "config_details.md").read_text(encoding="utf-8")
    for kind, method in EVERY:
        for key, value in section_from_values(kind, {}, method).values.items():
            assert re.search(rf"^#### {key}\b", page, re.M), key
            for entry in value if isinstance(value, dict) else ():
                assert f"- `{entry}`" in page, entry


# Projects


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_load(name):
    sections = load_config(name, KINDS)
    train, dataset = sections["train"], sections["dataset"]
    assert len(train.CLIPS) == 54 and len(train.AUG_MUTED_SHOTS) == 11 and len(dataset.SHOT_EMOTION_NAMES) == 11
    assert train.CLIPS[0] == ("claire", "cp1_neutral", (0, 348), "claire", "zh", "cp1_neutral.wav", 0)
    assert dataset.SHOT_LANGUAGE_MAP["claire"]["eg1_neutral"] == "en"
    assert bool(dataset.TONGUE_CACHE_ROOT) != name.endswith("-min")
    assert train.NETWORK_TYPE in name


def test_the_extra_root_comes_first_and_the_checkout_second(project, tmp_path):
    project("example-regression", dataset=DATASET)
    assert project_folder("example-regression") == tmp_path / "example-regression"
    assert project_folder("example-diffusion") == ROOT / "configs" / "example-diffusion"


def test_unknown_project(project):
    project(dataset=DATASET)
    assert "did you mean mine?" in mistakes("mime", ("dataset",))[0]
    assert "known: demo-conversation, demo-conversation-guide, demo-curves" in mistakes("zzz", ("dataset",))[0]


@pytest.mark.parametrize("name", ["../mine", "a b", "", ".hidden", "a..b", "mine;ls", "mine\n"])
def test_project_names_with_other_characters_are_refused(name):
    assert "letters, digits" in mistakes(name, ("dataset",))[0]


def test_missing_files(project):
    project(dataset=DATASET)
    sections = load_config("mine", ("dataset",), optional=("inference",))
    assert sections["inference"].file is None and sections["inference"].modifier == {}
    assert sections["inference"].INFERENCE_MODE == "offline"
    project("empty")
    assert load_config("empty", (), optional=("dataset", "train"))["dataset"].ACTOR_NAMES == []
    lines = mistakes("mine", ("train", "preproc"))
    assert [line.split(": ")[1].split(";")[0] for line in lines] == ["missing", "missing"]


def test_inference_alone_takes_its_method_from_the_run_or_from_config_train(project):
    project(inference="NUM_DIFFUSION_STEPS = 3\n")
    loaded = load_config("mine", ("inference",), network_type="diffusion")["inference"]
    assert loaded.NUM_DIFFUSION_STEPS == 3
    assert "config_train.py: missing" in mistakes("mine", ("inference",))[0]
    project(train='NETWORK_TYPE = "diffusion"\n')
    assert "CONDITION" in load_config("mine", ("inference",))["inference"]


# Merging and freezing


def test_merge_origin_and_modifier(project):
    folder = project(
        dataset=DATASET,
        train='NETWORK_TYPE = "diffusion"\nAUGMENT = {\n    "pitch_shift": {\n        "p": 0.5,\n    },\n}\nTARGET_FPS = 30\n',
    )
    train = load_config("mine", ("dataset", "train"))["train"]
    assert train.AUGMENT == {"timeshift": 0.0, "pitch_shift": {"min_semitones": -2, "max_semitones": 2, "p": 0.5}}
    assert train.modifier == {"NETWORK_TYPE": "diffusion", "AUGMENT": {"pitch_shift": {"p": 0.5}}, "TARGET_FPS": 30}
    assert isinstance(train.TARGET_FPS, float)
    place = str(folder / "config_train.py")
    assert train.file == Path(place)
    assert train.origin("AUGMENT/pitch_shift/p") == f"{place}:4"
    assert train.origin("AUGMENT/pitch_shift/min_semitones") == "base"
    assert train.origin(("TARGET_FPS",)) == f"{place}:7" and train.origin("BATCH_SIZE") == "base"


def test_delete_removes_an_inherited_entry(project):
    project(
        dataset=DATASET,
        train="from audio2face.config import DELETE\nNETWORK_TYPE = 'diffusion'\nAUGMENT = {'pitch_shift': DELETE}\n"
        "STREAMING_CFG = {'30': DELETE}\n",
    )
    train = load_config("mine", ("dataset", "train"))["train"]
    assert train.AUGMENT == {"timeshift": 0.0} and list(train.STREAMING_CFG) == ["60"]
    assert train.modifier["AUGMENT"] == {"pitch_shift": "DELETE"}
    json.dumps(train.modifier)


def test_delete_of_what_is_not_there():
    lines = problems_of(
        "train", {"AUGMENT": {"pitch": DELETE}, "SEQ_LEN": DELETE, "AUDIO_PARAMS": {"buffer_len": DELETE}}
    )
    assert "config_train: AUGMENT/pitch: nothing to delete: there is no inherited entry of this name" in lines
    assert "config_train: SEQ_LEN: cannot be deleted; leave the key out to get its default" in lines
    assert "config_train: AUDIO_PARAMS/buffer_len: is missing; it cannot be left out" in lines
    assert copy.deepcopy(DELETE) is DELETE and pickle.loads(pickle.dumps(DELETE)) is DELETE


def test_sections_are_read_only():
    section = section_from_values("train", {"CLIPS": [CLIP]})
    with pytest.raises(AttributeError, match="read-only"):
        section.SEQ_LEN = 3
    with pytest.raises(AttributeError, match="read-only"):
        del section.SEQ_LEN
    with pytest.raises(AttributeError, match="config_train has no key SEQ_LENGTH"):
        _ = section.SEQ_LENGTH
    section.AUGMENT["timeshift"] = 9
    section.CLIPS.append("x")
    section.values["NETWORK_HYPER_PARAMS"]["autocorr_params"]["win_len"] = 1
    assert section.AUGMENT == {"timeshift": 1.0} and section.CLIPS == [CLIP]
    assert section.NETWORK_HYPER_PARAMS["autocorr_params"]["win_len"] == 640
    twin = pickle.loads(pickle.dumps(section))
    assert isinstance(twin, Section) and twin.values == section.values == copy.deepcopy(section).values


@pytest.mark.parametrize("kind, method", EVERY)
def test_values_survive_json(kind, method):
    given = {"CLIPS": [CLIP], "AUG_MUTED_SHOTS": [("amy", ("s1", 3), 100, "neutral")]} if kind == "train" else {}
    section = section_from_values(kind, given, method)
    again = section_from_values(kind, json.loads(json.dumps(section.values, allow_nan=False)), method)
    assert again.values == section.values


# Override modules


def test_modules_may_compute_import_neighbours_and_use_paths_and_numpy(project):
    project(
        shared="from pathlib import Path\nroot = Path('/datasets') / 'amy'\nCLIPS = [('amy', 's1', (0, 9), '', 'en', 's1.wav', 0)]\n",
        dataset="import os as OS\nimport numpy as np\nfrom collections import OrderedDict as ORDERED\nfrom shared import root\n"
        "ACTOR_NAMES = ('amy',)\n_SECRET = 1\nlocal = 2\n"
        "AUDIO_ROOT = {'amy': root / 'audio'}\nSKIN_CACHE_ROOT = {'amy': root / 'skin'}\nCACHE_FPS = {'amy': np.float32(30)}\n",
        preproc="import numpy as np\nfrom pathlib import Path\nSKIN_FORCE_COMPONENTS = {'amy': np.int64(7)}\n"
        "DEFAULT_JAW_KEYPOINTS_SHAPE = np.zeros((6, 3)).shape\nPREPROC_OUTPUT_ROOT = Path('/workspace/x')\n",
        train="from shared import CLIPS\nAUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE = [0, 0.5]\n",
    )
    sections = load_config("mine", ("dataset", "preproc", "train"))
    dataset, preproc, train = sections.values()
    assert dataset.AUDIO_ROOT == {"amy": "/datasets/amy/audio"} and dataset.ACTOR_NAMES == ["amy"]
    assert dataset.CACHE_FPS == {"amy": 30.0} and type(dataset.CACHE_FPS["amy"]) is float
    assert preproc.SKIN_FORCE_COMPONENTS == {"amy": 7} and type(preproc.SKIN_FORCE_COMPONENTS["amy"]) is int
    assert preproc.DEFAULT_JAW_KEYPOINTS_SHAPE == (6, 3) and preproc.PREPROC_OUTPUT_ROOT == "/workspace/x"
    assert train.CLIPS[0][1] == "s1" and train.origin("CLIPS").endswith("config_train.py:1")
    assert train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE == (0.0, 0.5)
    json.dumps({kind: section.values for kind, section in sections.items()}, allow_nan=False)


def test_neighbours_of_two_projects_do_not_meet(project):
    for name, path in (("one", "/1"), ("two", "/2")):
        project(name, places=f"root = {path!r}\n", preproc="from places import root\nPREPROC_OUTPUT_ROOT = root\n")
    roots = [load_config(name, ("preproc",))["preproc"].PREPROC_OUTPUT_ROOT for name in ("one", "two", "one")]
    assert roots == ["/1", "/2", "/1"] and "places" not in sys.modules
    assert not any(str(project().parent) in entry for entry in sys.path)


def test_changing_an_imported_default_stays_in_the_project(project):
    project(
        "one",
        dataset=DATASET,
        train="from audio2face.config_base.config_train_regression_base import AUGMENT\nAUGMENT['timeshift'] = 0.25\n",
    )
    assert load_config("one", ("dataset", "train"))["train"].AUGMENT == {"timeshift": 0.25}
    assert section_from_values("train", {}).AUGMENT == {"timeshift": 1.0}
    importlib.reload(sys.modules["audio2face.config_base.config_train_regression_base"])


def test_numbers_as_keys_of_streaming(project):
    entry = "{'audio_pad_left': 16000, 'audio_pad_right': 16000, 'window_size': 16000, 'left_truncate': 10, "
    entry += "'right_truncate': 15, 'block_frame_size': 25}"
    project(dataset=DATASET, train=f"NETWORK_TYPE = 'diffusion'\nTARGET_FPS = 50\nSTREAMING_CFG = {{50: {entry}}}\n")
    assert list(load_config("mine", ("dataset", "train"))["train"].STREAMING_CFG) == ["60", "30", "50"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("RUN_NAME = 'a'\nRUN_INFO = 'b\n", "config_preproc.py:2: not valid Python: unterminated string"),
        ("RUN_NAME = 'a'\nRUN_INFO = str(1 / 0)\n", "config_preproc.py:2: ZeroDivisionError: division by zero"),
        ("import nowhere_to_be_found\n", "config_preproc.py:1: ModuleNotFoundError: No module named"),
        ("import broken\n", "broken.py:2: not valid Python"),
        ("import failing\n", "failing.py:2: KeyError: 'gone'"),
        ("\n\nraise SystemExit(1)\n", "config_preproc.py:3: SystemExit: 1"),
        ("open('/nowhere/x.csv')\n", "config_preproc.py:1: FileNotFoundError"),
    ],
)
def test_a_module_that_fails_is_reported_with_its_line(project, text, expected):
    project(preproc=text, broken="x = 1\nx = = 2\n", failing="d = {}\nd['gone']\n")
    (line,) = mistakes("mine", ("preproc",))
    assert expected in line and "\n" not in line


# Mistakes


def test_all_mistakes_of_all_files_at_once_with_their_lines(project):
    folder = project(
        dataset=DATASET + 'SKIN_NEUTRAL_FPATH = {"any": "/n.npy"}\nUNITS_PER_METER = 1\n',
        preproc='RUN_NAME = "a/b"\nSKIN_PCA_VARIANCE_THRESHOLD = 1.5\n',
        train='NETWORK_TYPE = "diffusion"\n\nAUGMENT = {\n    "pich_shift": {"p": 1},\n    "pitch_shift": {"p": 2.0},\n}\n'
        'SEQ_LEN = 3\nSKIN_CACHE_ROOT = {}\nTARGET_FPS = -1.0\nCLIPS = [\n    ("amy", "s", (0, 1), "", "en", "s.wav", 0),\n'
        '    ("amy", "s", (0,), "", "en", "s.wav", 0),\n]\n',
        inference="def broken(:\n",
    )
    lines = mistakes("mine", KINDS)
    assert len(lines) == 11, lines
    for expected in [
        "config_dataset.py:5: SKIN_NEUTRAL_FPATH/any: 'any' is not in ACTOR_NAMES; did you mean amy?",
        "config_dataset.py:6: UNITS_PER_METER: unknown key; did you mean UNITS_PER_METRE?",
        "config_preproc.py:1: RUN_NAME: must be only letters, digits",
        "config_preproc.py:2: SKIN_PCA_VARIANCE_THRESHOLD: must be at most 1 (it is 1.5)",
        "config_train.py:4: AUGMENT/pich_shift: unknown key; did you mean pitch_shift?",
        "config_train.py:5: AUGMENT/pitch_shift/p: must be at most 1 (it is 2.0)",
        "config_train.py:7: SEQ_LEN: unknown key: it exists only for NETWORK_TYPE 'regression', and this is 'diffusion'",
        "config_train.py:8: SKIN_CACHE_ROOT: unknown key: it belongs in config_dataset.py",
        "config_train.py:9: TARGET_FPS: must be greater than 0 (it is -1.0)",
        "config_train.py:12: CLIPS/1/2/1: is missing; it cannot be left out; the form is (actor, shot, (first, last)",
        "config_inference.py:1: not valid Python",
    ]:
        assert any(line.startswith(f"{folder}/{expected}") for line in lines), (expected, lines)


def test_files_of_the_checkout_are_named_from_its_top():
    assert load_config("example-regression", ("preproc",))["preproc"].origin("RUN_NAME") == (
        "configs/example-regression/config_preproc.py:3"
    )


def test_a_wrong_network_type_hides_nothing_else(project):
    project(dataset=DATASET + "OOPS = 1\n", train="\nNETWORK_TYPE = 'regresion'\n", inference="X = 1\n")
    lines = mistakes("mine", ("dataset", "train"), optional=("inference",))
    assert len(lines) == 2
    assert (
        "config_train.py:2: NETWORK_TYPE: must be one of 'regression', 'diffusion', 'guide' (it is 'regresion')"
        in lines[0]
    )
    assert (
        "config_dataset.py:5: OOPS: unknown key; write names of your own in lower case or with a leading underscore"
        in lines[1]
    )


WRONG = [
    ("dataset", {"ACTOR_NAMES": "amy"}, "ACTOR_NAMES: must be a list"),
    ("dataset", {"ACTOR_NAMES": ["amy", "amy"]}, "ACTOR_NAMES: names 'amy' twice"),
    ("dataset", {"ACTOR_NAMES": ["a/b"]}, "ACTOR_NAMES/0: must be only letters"),
    ("dataset", {"CACHE_FPS": {"amy": 0}}, "CACHE_FPS/amy: must be greater than 0"),
    ("dataset", {"CACHE_FPS": {"amy": float("nan")}}, "CACHE_FPS/amy: must be a finite number"),
    ("dataset", {"CACHE_FPS": 30}, "CACHE_FPS: must be a dict (it is 30)"),
    ("dataset", {"AUDIO_ROOT": {"amy": ""}}, "AUDIO_ROOT/amy: must not be empty"),
    ("dataset", {"AUDIO_ROOT": {"amy": 3}}, "AUDIO_ROOT/amy: must be text (it is 3)"),
    ("dataset", {"AUDIO_CHANNELS": {"amy": {"partner": 1}}}, "AUDIO_CHANNELS/amy/self: is missing"),
    ("dataset", {"AUDIO_CHANNELS": {"amy": {"self": -1}}}, "AUDIO_CHANNELS/amy/self: must be at least 0"),
    ("dataset", {"AUDIO_CHANNELS": {"amy": {"self": 1, "partner": 1}}}, "is the channel of 'amy' too; name another"),
    ("dataset", {"PARTNER_AUDIO_OFFSETS": {"amy": {"s": 3}}}, "PARTNER_AUDIO_OFFSETS/amy: needs PARTNER_AUDIO_ROOT"),
    ("dataset", {"SHOT_EMOTION_NAMES": []}, "SHOT_EMOTION_NAMES: has too few entries"),
    (
        "dataset",
        {"SHOT_EMOTION_MAP": [("amy", "s")]},
        "SHOT_EMOTION_MAP/0/2: is missing; it cannot be left out; the form",
    ),
    ("dataset", {"SHOT_LANGUAGE_MAP": {"amy": {"s": "en"}, "t": "zh"}}, "SHOT_LANGUAGE_MAP: must be {actor: {shot:"),
    (
        "dataset",
        {"TRANSFORM_SCALE": {"amy": {"skni": 2.0}}},
        "TRANSFORM_SCALE/amy/skni: unknown key; did you mean skin?",
    ),
    ("dataset", {"UNITS_PER_METRE": True}, "UNITS_PER_METRE: must be a number (it is True)"),
    ("preproc", {"SKIN_FORCE_COMPONENTS": {"amy": 2.5}}, "SKIN_FORCE_COMPONENTS/amy: must be a whole number"),
    ("preproc", {"SKIN_PRUNE_SIM_DIST": "4"}, "SKIN_PRUNE_SIM_DIST: must be a number (it is '4')"),
    ("preproc", {"SKIN_PCA_VARIANCE_THRESHOLD": 0}, "SKIN_PCA_VARIANCE_THRESHOLD: must be greater than 0"),
    ("preproc", {"DEFAULT_TONGUE_PCA_SHAPE": (10, 520, 2)}, "DEFAULT_TONGUE_PCA_SHAPE/2: must be one of 3"),
    ("preproc", {"DEFAULT_EYE_BLINK_KEYS_SHAPE": (1, 2)}, "DEFAULT_EYE_BLINK_KEYS_SHAPE: has too many entries"),
    ("preproc", {"VERBOSE": 1}, "VERBOSE: must be True or False (it is 1)"),
    ("train", {"RUN_NAME": "a..b"}, "RUN_NAME: must be only letters"),
    ("train", {"RUN_NAME": ""}, "RUN_NAME: must be only letters"),
    ("train", {"PREPROC_RUN_NAME_FULL": {"amy": "../x"}}, "PREPROC_RUN_NAME_FULL/amy: must be only letters"),
    (
        "train",
        {"TARGET_CHANNELS": ["skin_pose", "jaw"]},
        "TARGET_CHANNELS/0: must be one of 'skin_coeffs', 'tongue_coeffs'",
    ),
    ("train", {"TARGET_CHANNELS": []}, "TARGET_CHANNELS: must name at least one channel"),
    ("train", {"TARGET_CHANNELS": ["skin_coeffs", "jaw", "jaw"]}, "TARGET_CHANNELS: names 'jaw' twice"),
    (
        "train",
        {"AUDIO_PREPROC_METHOD": "w3v"},
        "AUDIO_PREPROC_METHOD: must be one of 'w2v' or 'nva2f'; did you mean w2v?",
    ),
    ("train", {"AUG_MUTED_AUDIO_NOISE_TYPE": "pink"}, "AUG_MUTED_AUDIO_NOISE_TYPE: must be one of 'mic' or 'gauss'"),
    ("train", {"AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE": (1, 0)}, "RANGE: must be (lowest, highest)"),
    ("train", {"AUDIO_PARAMS": {"buffer_ofs": 9000}}, "AUDIO_PARAMS/buffer_ofs: must not exceed buffer_len (8320)"),
    ("train", {"AUDIO_PARAMS": {"sampelrate": 1}}, "AUDIO_PARAMS/sampelrate: unknown key; did you mean samplerate?"),
    ("train", {"AUDIO_PARAMS": {"samplerate": 22050}}, "AUDIO_PARAMS/samplerate: must be 16000"),
    ("train", {"AUDIO_PARAMS": {"buffer_len": 8000}}, "autocorr_params/num_windows: 25 windows need 8320 samples"),
    (
        "train",
        {"CLIPS": [("amy", "s", (9, 2), "", "en", "s.wav", 0)]},
        "CLIPS/0/2: first frame 9 comes after last frame 2",
    ),
    ("train", {"CLIPS": [("amy", "s", (0, 2.5), "", "en", "s.wav", 0)]}, "CLIPS/0/2/1: must be a whole number"),
    ("train", {"CLIPS": [("amy", "s", (0, 2), "", "en", "s.wav")]}, "CLIPS/0/6: is missing"),
    ("train", {"CLIPS": ["amy"]}, "CLIPS/0: must be a tuple (it is 'amy'); the form is (actor, shot"),
    ("train", {"CLIPS": {"amy": []}}, "CLIPS: must be a list"),
    ("train", {"AUG_MUTED_SHOTS": [("amy", "s", 3, "joy")]}, "AUG_MUTED_SHOTS/0/1: must be a tuple"),
    (
        "train",
        {"NETWORK_NAME": "conv_w2v"},
        "NETWORK_NAME: unknown network 'conv_w2v'; did you mean conv_w2v_autocorr?",
    ),
    (
        "train",
        {"NETWORK_NAME": "diffusion_rnn"},
        "NETWORK_NAME: diffusion_rnn is a network for NETWORK_TYPE 'diffusion'",
    ),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"use_melspec": True}},
        "use_melspec: unknown key: conv_w2v_autocorr does not take it",
    ),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"w2v_num_layers": 0}},
        "NETWORK_HYPER_PARAMS/w2v_num_layers: must be at least 1",
    ),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"whisper_layer": [3, 0]}},
        "whisper_layer: must be a whole number >= 1, or a list",
    ),
    ("train", {"NETWORK_HYPER_PARAMS": {"whisper_layer": []}}, "whisper_layer: must be a whole number >= 1, or a list"),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"use_whisper_features": True}, "AUDIO_PARAMS": {"buffer_len": 480320}},
        "AUDIO_PARAMS/buffer_len: must not exceed 30 s",
    ),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"autocorr_params": {"win_leng": 1}}},
        "win_leng: unknown key; did you mean win_len?",
    ),
    (
        "train",
        {"NETWORK_HYPER_PARAMS": {"use_w2v_features": False, "use_autocorr_features": False}},
        "NETWORK_HYPER_PARAMS: at least one audio feature must be on",
    ),
    ("train", {"NETWORK_HYPER_PARAMS": 3}, "NETWORK_HYPER_PARAMS: must be a dict"),
    ("train", {"SEQ_LEN": 1}, "SEQ_LEN: must be 2 or more for LOSS_MOTION_ALPHA, LOSS_EMO_REG_ALPHA"),
    (
        "train",
        {"LOSS_PHONEME_ALPHA": None, "LOSS_PHONEME_MOTION_ALPHA": 0.1},
        "LOSS_PHONEME_MOTION_ALPHA: has no effect",
    ),
    ("train", {"LOSS_LIP_DIST_EMO_WEIGHTS": {"joy": -1}}, "LOSS_LIP_DIST_EMO_WEIGHTS/joy: must be at least 0"),
    ("train", {"LEARNING_RATE": 0}, "LEARNING_RATE: must be greater than 0"),
    ("train", {"LR_STEP_GAMMA": 1.1}, "LR_STEP_GAMMA: must be at most 1"),
    ("train", {"BATCH_SIZE": 2.0}, "BATCH_SIZE: must be a whole number (it is 2.0)"),
    ("train", {"ONNX_EXPORTER": "dynamite"}, "ONNX_EXPORTER: must be one of 'torchscript' or 'dynamo'"),
    ("train", {"STREAMING_CFG": {}}, "STREAMING_CFG: unknown key: it exists only for NETWORK_TYPE 'diffusion'"),
    ("inference", {"CONFIG": {"lip_open_offset": -0.3}}, "CONFIG/lip_open_offset: must be at least -0.2 (it is -0.3)"),
    ("inference", {"CONFIG": {"eye_saccade_seed": 5000}}, "CONFIG/eye_saccade_seed: must be a number, 0 … 4999"),
    ("inference", {"CONFIG": {"upper_face_smoothing": 0.2}}, "CONFIG/upper_face_smoothing: must be at most 0.1"),
    ("inference", {"CONFIG": {"source_frame": 3}}, "CONFIG/source_frame: needs source_shot"),
    (
        "inference",
        {"CONFIG": {"blink_strenght": 3}},
        "CONFIG/blink_strenght: unknown key; did you mean blink_strength?",
    ),
    ("inference", {"INFERENCE_MODE": "streaming"}, "INFERENCE_MODE: must be one of 'offline' or 'offline_onnx'"),
    (
        "inference",
        {"EMOTION_LABEL": [1, "x"]},
        "EMOTION_LABEL: must be the name of an emotion, {name: weight}, a list of numbers",
    ),
    ("inference", {"AUDIO_PATH": []}, "AUDIO_PATH: must be a file, a list of files, a folder, or None"),
    (
        "inference",
        {"OUTPUT_FORMATS": ["gtlf"]},
        "OUTPUT_FORMATS/0: must be one of 'maya', 'npy', 'pc2', 'arkit_csv', 'json', 'npz', 'bvh', 'usd', 'gltf' or 'mp4'; did you mean gltf?",
    ),
    ("inference", {"CONDITION": "amy"}, "CONDITION: unknown key: it exists only for NETWORK_TYPE 'diffusion'"),
]


def test_windows_of_rates_without_an_entry():
    """As the base's own 60 and 30: half the frames, and before them a whole number of samples."""
    train = section_from_values("train", {}, "diffusion")
    computed = {fps: streaming_entry(fps, {}, train.AUDIO_PARAMS) for fps in (24, 25, 30, 48, 50, 60)}
    assert {str(fps): computed[fps] for fps in (60, 30)} == train.STREAMING_CFG
    for fps, entry in computed.items():
        assert entry["left_truncate"] * 16000 % fps == 0 and entry["left_truncate"] >= fps // 5
        assert entry["left_truncate"] + entry["block_frame_size"] + entry["right_truncate"] == fps
        section_from_values("train", {"TARGET_FPS": fps}, "diffusion")
    ntsc = {"TARGET_FPS": 29.97, "AUDIO_PARAMS": dict.fromkeys(("buffer_len", "padding_left", "padding_right"), 16016)}
    train = section_from_values("train", ntsc, "diffusion")
    assert streaming_entry(29.97, train.STREAMING_CFG, train.AUDIO_PARAMS)["block_frame_size"] == 15
    own = {"left_truncate": 5}
    assert streaming_entry(25.0, {"25": own}, train.AUDIO_PARAMS) == own


WRONG_DIFFUSION = [
    ("train", {"TARGET_CHANNELS": ["skin_coeffs"]}, "TARGET_CHANNELS/0: must be one of 'skin_pose', 'tongue_pose'"),
    (
        "train",
        {"TARGET_FPS": 29.97},
        'STREAMING_CFG: has no entry "29.97" for TARGET_FPS, and none follows: 16000 samples (AUDIO_PARAMS/buffer_len) '
        'are 29.97 frames; set AUDIO_PARAMS = {"buffer_len": 16016, "padding_left": 16016, "padding_right": 16016}',
    ),
    ("train", {"TARGET_FPS": 0.7}, "no window near fits; take a TARGET_FPS such as 24, 30"),
    (
        "train",
        {"STREAMING_CFG": {"60": {"left_truncate": 14}}},
        "STREAMING_CFG/60/window_size: 16000 samples are 60 frames",
    ),
    (
        "train",
        {"STREAMING_CFG": {"60": {"audio_pad_left": 0}}, "AUDIO_PARAMS": {"padding_left": 0}},
        "padding_left: must last as",
    ),
    ("train", {"STREAMING_CFG": {"60": {"audio_pad_right": 8000}}}, "is 8000, and AUDIO_PARAMS/padding_right is 16000"),
    (
        "train",
        {"STREAMING_CFG": {"60": {"windw_size": 1}}},
        "STREAMING_CFG/60/windw_size: unknown key; did you mean window_",
    ),
    ("train", {"STREAMING_CFG": {"60": {"left_truncate": DELETE}}}, "STREAMING_CFG/60/left_truncate: is missing"),
    ("train", {"SUBSEGMENT_MIN_FRAME": 700}, "SUBSEGMENT_MIN_FRAME: must not exceed SUBSEGMENT_MAX_FRAME (600)"),
    ("train", {"TIMESTEP_RESPACING": "ten"}, "TIMESTEP_RESPACING: 'ten' is not a respacing"),
    (
        "train",
        {"TIMESTEP_RESPACING": "10", "DIFFUSION_STEPS": 5},
        "TIMESTEP_RESPACING: 10 steps wanted from section 1 of 1",
    ),
    ("train", {"TIMESTEP_RESPACING": "ddim300"}, "TIMESTEP_RESPACING: no fixed stride keeps exactly 300 of 1000 steps"),
    (
        "train",
        {"AUGMENT": {"pitch_shift": {"min_semitones": 3}}},
        "pitch_shift/min_semitones: must not exceed max_semitones",
    ),
    ("train", {"LEARNING_RATE": 1e-6}, "LR_MIN: must not exceed LEARNING_RATE (1e-06)"),
    ("train", {"NETWORK_NAME": "conv_w2v_autocorr"}, "NETWORK_NAME: conv_w2v_autocorr is a network for NETWORK_TYPE"),
    ("train", {"NETWORK_HYPER_PARAMS": {"audio_encoder": "hubrt"}}, "audio_encoder: must be one of 'hubert', 'w2v'"),
    ("train", {"EMA_DECAY": 1.0}, "EMA_DECAY: must be less than 1"),
    (
        "inference",
        {"TIMESTEP_RESPACING": "10", "NUM_DIFFUSION_STEPS": 2},
        "NUM_DIFFUSION_STEPS: is 2, and TIMESTEP_RESPACING",
    ),
    ("inference", {"TIMESTEP_RESPACING": "2.5"}, "TIMESTEP_RESPACING: '2.5' is not a respacing"),
    ("inference", {"SKIP_STEPS": 2}, "SKIP_STEPS: must be less than the number of steps (2)"),
    ("inference", {"CONFIG": {"source_shot": "s"}}, "CONFIG/source_shot: unknown key"),
    ("inference", {"INFERENCE_MODE": "offline_onnx"}, "INFERENCE_MODE: must be one of 'offline', 'streaming'"),
    ("inference", {"EMOTION_LABEL": [(1, {"joy": 1}), (0, {"joy": 0})]}, "the seconds of a timeline must increase"),
    ("inference", {"EMOTION_LABEL": {"joy": "much"}}, "or a timeline [(seconds, {emotion: weight}), …]"),
]


@pytest.mark.parametrize(
    "method, kind, values, expected",
    [("regression", *row) for row in WRONG] + [("diffusion", *row) for row in WRONG_DIFFUSION],
)
def test_a_wrong_value_is_named(method, kind, values, expected):
    lines = problems_of(kind, values, method)
    assert len(lines) == 1 and expected in lines[0], lines


RIGHT = [
    ("regression", "train", {"SEQ_LEN": 1, "LOSS_MOTION_ALPHA": None, "LOSS_EMO_REG_ALPHA": 0, "LOSS_VOL_STAB_REG_ALPHA": None,
                             "LOSS_PHONEME_MOTION_ALPHA": None}),
    ("regression", "train", {"LOSS_PHONEME_ALPHA": None}),
    ("regression", "train", {"LOSS_LIP_DIST_EMO_WEIGHTS": {"joy": 0.5}}),
    ("regression", "train", {"SHOT_EMOTION_NAME_FOR_ALL_ZEROS": None}),
    ("regression", "train", {"PHONEME_MODEL": "/models/charsiu", "PREPROC_RUN_NAME_FULL": {"amy": "latest"}}),
    ("regression", "inference", {"EMOTION_LABEL": [(0, {"joy": 1}), (1.5, {})]}),
    ("regression", "inference", {"EMOTION_LABEL": {"joy": 0.5}}),
    ("regression", "inference", {"EMOTION_LABEL": np.array([0.5, 1.0]), "AUDIO_PATH": [Path("/a.wav"), "/b.wav"]}),
    ("diffusion", "train", {"NETWORK_NAME": "diffusion_rnn_pca", "NETWORK_HYPER_PARAMS": {"audio_encoder": "melspec"}}),
    ("diffusion", "train", {"AUGMENT": {"pitch_shift": None}}),
    ("diffusion", "train", {"TARGET_FPS": 30, "TIMESTEP_RESPACING": "3,4"}),
    ("diffusion", "inference", {"TIMESTEP_RESPACING": "10", "SKIP_STEPS": 9}),
    ("diffusion", "inference", {"TIMESTEP_RESPACING": "10", "NUM_DIFFUSION_STEPS": 10}),
    ("diffusion", "inference", {"EMOTION_LABEL": [(0, {"joy": 1}), (1.5, {})], "INFERENCE_MODE": "streaming_stateless_onnx"}),
]  # fmt: skip


@pytest.mark.parametrize("method, kind, values", RIGHT)
def test_unusual_but_right_values(method, kind, values):
    section_from_values(kind, values, method)


def test_rules_between_files(project):
    project(
        dataset=DATASET.replace('"amy"]', '"amy", "bob"]') + 'SHOT_EMOTION_NAMES = ["calm", "joy"]\n'
        'SHOT_EMOTION_MAP = [("amy", "s1", "joi")]\nSHOT_LANGUAGE_MAP = {"eva": {"s1": "zh"}}\n'
        'BLENDSHAPE_SKIN_FPATH = {"amy": "/b.npz"}\n',
        preproc='SKIN_FORCE_COMPONENTS = {"amx": 7}\n',
        train='SHOT_EMOTION_NAME_FOR_ALL_ZEROS = "calm"\nCLIPS = [\n  ("amy", "s", (0, 1), "", "en", "s.wav", 0),\n'
        '  ("eve", "s", (0, 1), "", "en", "s.wav", 0),\n]\nAUG_MUTED_SHOTS = [("eve", ("s", 0), 9, "jo")]\n'
        'LOSS_LIP_DIST_EMO_WEIGHTS = {"sad": 1}\nPREPROC_RUN_NAME_FULL = {"carl": "latest"}\n',
        inference='ACTOR_NAME = "emy"\nEMOTION_LABEL = [0.1, 0.2]\n',
    )
    lines = [re.sub(r"^.*/config_", "", line) for line in mistakes("mine", KINDS)]
    assert sorted(lines) == sorted(
        [
            "dataset.py:2: CACHE_FPS: has no entry for actor 'bob'",
            "dataset.py:3: AUDIO_ROOT: has no entry for actor 'bob'",
            "dataset.py:4: SKIN_CACHE_ROOT: has no entry for actor 'bob'",
            "dataset.py:6: SHOT_EMOTION_MAP/0/2: 'joi' is not in SHOT_EMOTION_NAMES; did you mean joy?",
            "dataset.py:7: SHOT_LANGUAGE_MAP/eva: 'eva' is not in ACTOR_NAMES (amy, bob)",
            "dataset.py:8: BLENDSHAPE_SKIN_FPATH/amy: needs BLENDSHAPE_SKIN_CONFIG_FPATH of this actor too",
            "preproc.py:1: SKIN_FORCE_COMPONENTS/amx: 'amx' is not in ACTOR_NAMES; did you mean amy?",
            "train.py: DEFAULT_SHOT_EMOTION_NAME: 'neutral' is not in SHOT_EMOTION_NAMES (calm, joy)",
            "train.py:4: CLIPS/1/0: 'eve' is not in ACTOR_NAMES (amy, bob)",
            "train.py:6: AUG_MUTED_SHOTS/0/0: 'eve' is not in ACTOR_NAMES (amy, bob)",
            "train.py:6: AUG_MUTED_SHOTS/0/3: 'jo' is not in SHOT_EMOTION_NAMES; did you mean joy?",
            "train.py:7: LOSS_LIP_DIST_EMO_WEIGHTS/sad: 'sad' is not in SHOT_EMOTION_NAMES (calm, joy)",
            "train.py:8: PREPROC_RUN_NAME_FULL/carl: 'carl' is not in ACTOR_NAMES (amy, bob)",
            "inference.py:1: ACTOR_NAME: 'emy' is not in ACTOR_NAMES; did you mean amy?",
            "inference.py:2: EMOTION_LABEL: has 2 numbers, and the model takes 1: joy",
        ]
    )


def test_inference_respacing_must_fit_the_trained_steps(project):
    project(
        dataset=DATASET,
        train='NETWORK_TYPE = "diffusion"\nDIFFUSION_STEPS = 20\n',
        inference='TIMESTEP_RESPACING = "30"\n',
    )
    (line,) = mistakes("mine", ("dataset", "train", "inference"))
    assert "config_inference.py:1: TIMESTEP_RESPACING: 30 steps wanted from section 1 of 1, which has 20" in line


def test_a_project_without_actors(project):
    project(dataset="UNITS_PER_METRE = 1\n")
    (line,) = mistakes("mine", ("dataset",))
    assert line.endswith("config_dataset.py: ACTOR_NAMES: must name at least one actor")


@pytest.mark.parametrize("kind", ["dataset", "preproc", "inference"])
def test_a_network_in_the_wrong_file(kind):
    (line,) = problems_of(kind, {"NETWORK_NAME": "diffusion_rnn"})
    assert line == f"config_{kind}: NETWORK_NAME: unknown key: it belongs in config_train.py"


def test_a_network_inherits_only_the_parameters_that_it_takes(monkeypatch):
    class Small(Schema):
        width: int
        implicit_emotion_len: int

    monkeypatch.setitem(HYPER_PARAMS, "small", Small)
    monkeypatch.setitem(NETWORK_METHODS, "small", "regression")
    section = section_from_values("train", {"NETWORK_NAME": "small", "NETWORK_HYPER_PARAMS": {"width": 3}})
    assert section.NETWORK_HYPER_PARAMS == {"width": 3, "implicit_emotion_len": 16}
    lines = problems_of("train", {"NETWORK_NAME": "small", "NETWORK_HYPER_PARAMS": {"widht": 3}})
    assert lines[0].endswith("NETWORK_HYPER_PARAMS/widht: unknown key: small does not take it; did you mean width?")


def test_thousands_of_clips(project):
    rows = "\n".join(f"    ('amy', 's{i}', (0, 99), 'amy', 'en', 's{i}.wav', 0)," for i in range(5000))
    project(dataset=DATASET, train=f"CLIPS = [\n{rows}\n]\n")
    train = load_config("mine", ("dataset", "train"))["train"]
    assert len(train.CLIPS) == 5000 and train.origin("CLIPS/4999").endswith(":5001")
    project(train=f"CLIPS = [\n{rows}\n]\n".replace("(0, 99)", "0"))
    lines = mistakes("mine", ("dataset", "train"))
    assert len(lines) == 21 and lines[-1].endswith("CLIPS: and 4980 more like these")


# explain_config


def test_explain_prints_values_and_origins(capsys):
    assert explain_config.main(["example-diffusion", "train"]) == 0
    out = capsys.readouterr().out
    assert "  NETWORK_VERSION = '3.1'    # configs/example-diffusion/config_train.py:" in out
    assert "  AUGMENT/pitch_shift/p = 0.2    # base\n" in out
    assert "  CLIPS = [54 entries]    # configs/example-diffusion/config_train.py:" in out
    assert "config_dataset" not in out


def test_explain_one_key_with_its_manual(capsys):
    assert explain_config.main(["example-regression", "train", "LOSS_PHONEME_ALPHA"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("LOSS_PHONEME_ALPHA = None\n    from configs/example-regression/config_train.py:")
    assert "Weight of the phoneme head's cross-entropy." in out and "\nChange: " in out
    assert explain_config.main(["example-regression", "inference", "CONFIG/source_frame"]) == 0
    assert capsys.readouterr().out.startswith("CONFIG/source_frame = 220\n")


def test_explain_json(capsys):
    assert explain_config.main(["example-regression", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == list(KINDS)
    assert told["dataset"]["CACHE_FPS/claire"]["value"] == 30.0
    assert told["preproc"]["VERBOSE"] == {"value": False, "origin": "base"}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["example-regresion"], "error: no config 'example-regresion'"),
        (["example-regression", "trian"], "error: no section 'trian'; did you mean train?"),
        (["example-regression", "train", "SEQLEN"], "error: config_train has no key 'SEQLEN'; did you mean SEQ_LEN?"),
        (["example-regression", "train", "AUGMENT/x"], "error: config_train: AUGMENT has no entry 'x'"),
        (["mine"], "config_dataset.py:5: OOPS: unknown key"),
        (["mine", "train"], "config_dataset.py:5: OOPS: unknown key"),
    ],
)
def test_explain_tells_mistakes(project, capsys, arguments, expected):
    project(dataset=DATASET + "OOPS = 1\n")
    assert explain_config.main(arguments) == 2
    told = capsys.readouterr()
    assert expected in told.err and told.out == ""


def test_explain_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        explain_config.main(["--help"])
    assert ended.value.code == 0
    assert "python -m runners.explain_config demo-regression" in capsys.readouterr().out


def test_config_needs_no_torch():
    code = "import sys, audio2face.config, runners.explain_config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_actor_has_values_of_its_own_in_config():
    section = section_from_values("inference", {"CONFIG": {"amy": {"skin_strength": 1}}}, "diffusion")
    assert section.CONFIG["amy"] == {"skin_strength": 1.0} and section.CONFIG["skin_strength"] == 1.1
    problems = problems_of("inference", {"CONFIG": {"amy": {"skin_strenght": 1.0, "tongue_strength": 9}}}, "diffusion")
    assert any("CONFIG/amy/skin_strenght: unknown key; did you mean skin_strength?" in line for line in problems)
    assert any("CONFIG/amy/tongue_strength: must be at most 3" in line for line in problems)
    assert "unknown key" in problems_of("inference", {"CONFIG": {"bob": 1.0}}, "regression")[0]
