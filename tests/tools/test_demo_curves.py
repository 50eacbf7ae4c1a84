"""The demo of curves: its project, the figures of its report, and the whole of it from data set to film."""

import json

import numpy as np
import pytest

from audio2face.config import load_config
from audio2face.formats.arkit_csv import read_arkit_csv
from audio2face.formats.npy import write_npy
from audio2face.problems import UserError
from tools import demo_report, run_demo
from tools.demo.curves_report import Curves, compare, nods, read_prediction, read_truth
from tools.demo.dataset import held_out_plan
from tools.demo.head import turn_head
from tools.demo.speech import formant_speech
from tools.make_demo_dataset import main

FPS = 30.0


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two shots of the data set, where the project looks for it."""
    out = tmp_path_factory.mktemp("datasets")
    assert main([str(out / "demo"), "--shots", "2", "--voice", "formant"]) == 0
    return out


@pytest.fixture(scope="module")
def truth(datasets):
    return read_truth(datasets / "demo/demo/heldout", "heldout")


def test_the_project_trains_what_the_data_set_has(datasets):
    sections = load_config("demo-curves", ("dataset", "preproc", "train"), optional=("inference",))
    dataset, training = sections["dataset"], sections["train"]
    assert training.TARGET_CHANNELS == ["arkit", "head"] and not dataset.SKIN_CACHE_ROOT
    for folder in (dataset.AUDIO_ROOT["demo"], *dataset.CURVES_ROOT["demo"].values()):
        assert len(list((datasets / folder.removeprefix("/datasets/")).iterdir())) == 2
    assert (datasets / sections["inference"].AUDIO_PATH.removeprefix("/datasets/")).is_file()


def test_figures_of_the_report(truth):
    perfect = compare(truth, truth, FPS)
    assert perfect["jaw_open_correlation"] == perfect["head_pitch_correlation"] == 1.0
    assert perfect["head_error_degrees"] == pytest.approx(0, abs=0.05)
    assert perfect["nods_met"] == perfect["nods"] > 5 and perfect["nods_not_in_the_truth"] == 0
    aside = compare(truth, Curves(truth.weights, truth.names, truth.head + np.radians([0, 0, 7.0])), FPS)
    assert aside["head_error_degrees"] == pytest.approx(
        7, abs=0.05
    )  # roll is the last of the three: its angle is the error
    rng = np.random.default_rng(0)
    still = truth.head.mean(axis=0) + rng.normal(0, 1e-4, truth.head.shape)
    unmoved = compare(truth, Curves(truth.weights, truth.names, still), FPS)
    assert unmoved["nods_met"] == 0 and unmoved["head_error_degrees"] == pytest.approx(
        perfect["still_head_error_degrees"], rel=0.02
    )
    late = compare(truth, Curves(truth.weights, truth.names, np.roll(truth.head, 5, axis=0)), FPS)
    assert late["nods_met"] < perfect["nods"] / 2 < late["nods_not_in_the_truth"]


def test_nods_are_those_of_the_speech(truth):
    speech = formant_speech(held_out_plan().sentences[0]["ipa"])
    head = turn_head(speech, np.random.default_rng(5))
    assert 0.6 < len(nods(head, FPS)) / len(nods(truth.head, FPS)) < 1.6
    assert not len(nods(np.zeros_like(head), FPS))


def test_a_prediction_is_found_by_its_names(tmp_path, truth):
    base = tmp_path / "heldout_demo_demo_neutral_offline"
    with pytest.raises(UserError, match="OUTPUT_FORMATS"):
        read_prediction(tmp_path, "heldout")
    write_npy(tmp_path / f"{base.name}_arkit.npy", truth.weights[:, ::-1])
    write_npy(tmp_path / f"{base.name}_head.npy", truth.head[:, ::-1])
    names = {"arkit": truth.names[::-1], "head": ["HeadRoll", "HeadPitch", "HeadYaw"]}
    (tmp_path / f"{base.name}_names.json").write_text(json.dumps(names))
    found = read_prediction(tmp_path, "heldout")
    np.testing.assert_array_equal(found.head, truth.head)
    np.testing.assert_array_equal(found.weight("jawOpen"), truth.weight("jawOpen"))
    with pytest.raises(UserError, match="is missing"):
        read_truth(tmp_path, "other")


@pytest.mark.slow
def test_the_demo_of_curves_from_data_set_to_film(tmp_path, monkeypatch, capfd):
    """`make demo-curves`, its training cut to an epoch and its data to twelve shots."""
    steps, step = [], run_demo.step

    def short(arguments, environment):
        steps.append(arguments[0])
        more = ["--shots", "12", "--voice", "formant"] if "make_demo_dataset" in arguments[0] else []
        step([*arguments, *more], {**environment, "A2F_CONFIGS_ROOT": str(configs)})

    configs = tmp_path / "configs"
    project = configs / "demo-curves"
    project.mkdir(parents=True)
    for path in (run_demo.ROOT / "configs/demo-curves").glob("*.py"):
        cut = "\nNUM_EPOCHS = 1\n" if path.name == "config_train.py" else ""
        (project / path.name).write_text(path.read_text() + cut)
    monkeypatch.setattr(run_demo, "step", short)
    monkeypatch.setattr("sys.argv", ["run_demo.py", "--out", str(tmp_path / "demo"), "--config", "demo-curves"])
    assert run_demo.main() == 0
    told = capfd.readouterr().out
    assert len(steps) == 7 and "correlation of jawOpen" in told and "report.html" in told
    out = tmp_path / "demo"
    figures = json.loads((out / "demo-curves.json").read_text())
    assert 0 < figures["jaw_open_correlation"] <= 1 and (out / "demo-curves.png").stat().st_size > 10_000
    made = next((out / "workspace/output_inference").iterdir())
    assert len(read_arkit_csv(next(made.glob("*.csv"))).values) > 100
    assert next(made.glob("*.mp4")).stat().st_size > 10_000 < (out / "demo-curves.mp4").stat().st_size
    assert next((out / "workspace/output_evaluate").glob("*/report.html")).is_file()
    assert demo_report.main(["demo-curves", "--run", "nothing", "--out", str(out)]) == 2
