"""The guide family: two stages in one training that resumes bit by bit, what is measured, and keyframes that are drawn."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from fakes.curves import BODY, HEAD, curves_dataset
from fakes.project import use_project, write_configs, write_key
from PIL import Image

from audio2face.commands import deploy, infer, preproc, train
from audio2face.config import load_config, section_from_values
from audio2face.face.curves import skeleton_group
from audio2face.formats.keyframes import read_keyframes
from audio2face.inference.keyframe_job import build_keyframe_job, load_drawer, talk_inputs
from audio2face.models import family
from audio2face.models.common.inputs import build_inputs
from audio2face.models.common.weights import read_weights
from audio2face.models.guide.data import key_frames
from audio2face.problems import UserError
from audio2face.runs.train_run import load_train_run
from audio2face.runtime import Runtime
from audio2face.training.loop import FitSettings, fit

BODY_NAMES = skeleton_group("body", BODY).names
SMALL = {"codebook_size": 8, "depth": 2, "code_dim": 4, "codec_width": 16, "width": 16, "num_layers": 1, "num_heads": 2}
GUIDE = {
    "NETWORK_TYPE": "guide",
    "TARGET_CHANNELS": ["head", "body"],
    "GUIDE_FPS": 5.0,
    "NETWORK_HYPER_PARAMS": SMALL,
    "NUM_EPOCHS": 8,
    "GUIDE_CODEC_EPOCHS": 5,
    "BATCH_SIZE": 2,
    "VALIDATION_CLIPS": ["three_joy"],
    "VALIDATION_PERIOD": 1,
    "LR_WARMUP_EPOCHS": 1,
}


def project(root, patch, actors=("ann",), groups=((),), **keys):
    write_configs(
        root,
        dataset=curves_dataset([root / "datasets" / name for name in actors], groups),
        preproc={"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)},
        train={**GUIDE, **keys},
        inference={"AUDIO_PATH": f"{root}/datasets/{actors[0]}/audio/three_joy.wav", "ACTOR_NAME": actors[0]},
    )
    use_project(root, patch)
    for name in actors:
        preproc.run("tiny", name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("guide")
    with pytest.MonkeyPatch.context() as patch:
        project(root, patch, ("ann", "bob"), ((), ("head",)))  # bob has no body
        return root, train.run("tiny").run


def build(**keys):
    sections = load_config("tiny", ("train", "dataset"), optional=("inference",))
    section = section_from_values("train", {**sections["train"].modifier, **keys})
    inputs = build_inputs("tiny", section, sections["dataset"], sections["inference"])
    torch.manual_seed(0)
    return family("guide").build(inputs, Runtime(torch.device("cpu")))


def test_keyframes_are_frames():
    assert key_frames(91, 30.0, 1.0).tolist() == [0, 30, 60, 90]
    assert key_frames(90, 30.0, 1.0, 7).tolist() == [7, 37, 67]
    assert key_frames(5, 30.0, 1.0, 2).tolist() == [2]
    assert key_frames(9, 29.97, 12.0).tolist() == [0, 2, 4, 7]
    np.testing.assert_array_equal(key_frames(300, 59.94, 1.0), np.floor(np.arange(6) * 59.94))


def test_both_stages_are_measured(run):
    root, name = run
    rows = [
        json.loads(line) for line in (root / f"workspace/output_train/{name}/metrics.jsonl").read_text().splitlines()
    ]
    assert ["CROSS_ENTROPY" in row for row in rows] == [False] * 5 + [True] * 3
    assert all(0 <= row["CODEC"] < 2 for row in rows) and all(0 < row["USAGE"] <= 1 for row in rows[1:])
    first = rows[5]  # one epoch after it began at how often codes occur
    assert first["CROSS_ENTROPY"] == pytest.approx(first["UNIGRAM"], rel=0.2)
    parts = [first[f"CROSS_ENTROPY_{d}"] for d in (1, 2)]
    assert first["CROSS_ENTROPY"] == pytest.approx(np.mean(parts), rel=1e-5)
    assert first["CODEC"] == rows[7]["CODEC"]  # the codec is frozen
    best = torch.load(root / f"workspace/output_train/{name}/checkpoints/best.pt", weights_only=True)
    assert best["value"] == min(row["CROSS_ENTROPY"] for row in rows[5:])  # lower is better


def test_it_resumes_bit_by_bit_in_either_stage(run, monkeypatch):
    root, _ = run
    use_project(root, monkeypatch)
    settings = FitSettings(epochs=8, learning_rate=3e-4, log_period=1, checkpoint_epochs=1, ema_decay=0.9)

    def trained(states, resume=None):
        training = build()
        keep = lambda state: states.append(copy.deepcopy(state))  # noqa: E731
        fit(training.method, settings, lambda *_: None, save=keep, resume=resume)
        return training.network.state_dict()

    states: list[dict] = []
    whole = trained(states)
    for at in (2, 6):  # epochs done: in the codec's stage, in that of the codes
        again = trained([], states[at - 1])
        assert all(torch.equal(x, again[name]) for name, x in whole.items())


def test_the_codec_stays_as_codes_were_made_with_it(run, monkeypatch):
    """Averaged weights (EMA_DECAY) are those of the transformer alone."""
    root, _ = run
    use_project(root, monkeypatch)
    training, states = build(), []
    settings = FitSettings(epochs=8, learning_rate=3e-4, log_period=1, checkpoint_epochs=1, ema_decay=0.9)
    fit(training.method, settings, lambda *_: None, save=lambda s: states.append(copy.deepcopy(s["model"])))
    codec = {name: x for name, x in training.network.state_dict().items() if name.startswith("codec.")}
    assert all(torch.equal(x, states[4][name]) for name, x in codec.items())
    assert not torch.equal(training.network.heads, states[-1]["heads"])


def test_the_shares_of_a_batch_add_up_to_it(run, monkeypatch):
    """Codes cost the same whether segments come together or alone."""
    root, _ = run
    use_project(root, monkeypatch)
    training = build()
    method = training.method
    fit(method, FitSettings(epochs=6, learning_rate=3e-4), lambda *_: None)
    data = method.data
    assert data.steps_per_epoch() == 4 == len(list(data.batches(0))) == len(list(data.batches(6)))
    rngs = lambda clips: [np.random.default_rng(c) for c in clips]  # noqa: E731
    together = method.loss(data.segments.batch([0, 1], rngs([0, 1])), 1.0).total
    alone = [method.loss(data.segments.batch([c], rngs([c])), 1.0).total for c in (0, 1)]
    counts = [data.keys(data.segments.batch([c], rngs([c]))).valid.sum() for c in (0, 1)]
    expected = sum(x * n for x, n in zip(alone, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-5)


def test_what_is_not_known_changes_nothing(run, monkeypatch):
    root, _ = run
    use_project(root, monkeypatch)
    losses = []
    for poison in (0.0, 1e6):
        method = build().method
        method.data._tables = [(np.array(values), np.array(known)) for values, known in method.data._tables]
        for values, known in method.data._tables:
            known[3:7] = False
            values[3:7] = poison
        settings = FitSettings(epochs=6, learning_rate=3e-4, log_period=1)
        fit(method, settings, lambda _, found: losses.append(found))
    assert losses[: len(losses) // 2] == losses[len(losses) // 2 :]


def test_it_is_not_deployed_and_says_so(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    with pytest.raises(UserError, match="a vq_guide cannot be deployed"):
        deploy.run("tiny", name)


WRONG = [
    ({"TARGET_CHANNELS": ["skin_pose"]}, "TARGET_CHANNELS/0: must be a group of CURVES_ROOT"),
    ({"GUIDE_FPS": 60.0}, "GUIDE_FPS: must not exceed TARGET_FPS"),
    ({"GUIDE_CODEC_EPOCHS": 8}, "GUIDE_CODEC_EPOCHS: must be below NUM_EPOCHS"),
    ({"NETWORK_HYPER_PARAMS": {"num_heads": 3}}, "num_heads: must divide width"),
    ({"NETWORK_HYPER_PARAMS": {"codebook_size": 1}}, "codebook_size: must be at least 2"),
    ({"NETWORK_NAME": "diffusion_transformer"}, "is a network for NETWORK_TYPE 'diffusion', and this is 'guide'"),
]


@pytest.mark.parametrize("keys, message", WRONG)
def test_what_it_cannot_do_is_refused(keys, message):
    with pytest.raises(UserError, match=message):
        section_from_values("train", {**GUIDE, **keys})


def test_codes_of_a_training_are_the_run_s(run):
    root, name = run
    weights = read_weights(root / f"workspace/output_train/{name}/weights.pth")
    assert weights["codec_done"] and weights["unigram"].exp().sum(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)


def keys_of(root, name, **keys):
    made = root / "workspace/output_inference" / infer.run("tiny", name, **keys)
    return made, {path.name: read_keyframes(path) for path in sorted(made.glob("*_keys.npz"))}


def same(a, b):
    return all(np.array_equal(a.groups[name].values, b.groups[name].values) for name in a.groups)


def test_keyframes_are_drawn_as_files(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    made, files = keys_of(root, name, NUM_SAMPLES=2)
    first, second = files["three_joy_take1_keys.npz"], files["three_joy_take2_keys.npz"]
    assert (first.fps, first.frame_rate) == (5.0, 30.0) and first.frames.tolist() == [*range(0, 60, 6)]
    assert {group: keyed.names for group, keyed in first.groups.items()} == {"head": HEAD, "body": BODY_NAMES}
    assert all(keyed.known.all() for keyed in first.groups.values()) and not same(first, second)
    assert np.abs(first.groups["body"].values[:, 1] - 90).max() < 30  # in the units of the data
    assert Image.open(made / "three_joy_take1_keys.png").size == (1200, 520)
    told = json.loads((made / "takes.json").read_text())["takes"]
    assert [(take["name"], take["seed"], take["top_p"]) for take in told] == [
        ("three_joy_take1", 42, 0.94),
        ("three_joy_take2", 43, 0.94),
    ]
    _, again = keys_of(root, name, RNG_SEED_INFERENCE=43)
    assert same(again["three_joy_keys.npz"], second)  # a take is its seed


def test_an_actor_has_the_keyframes_of_its_own_groups(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    _, files = keys_of(root, name, ACTOR_NAME="bob")
    assert [*files["three_joy_keys.npz"].groups] == ["head"]


def test_temperature_and_top_p_are_heard(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    likeliest = [keys_of(root, name, TEMPERATURE=0, RNG_SEED_INFERENCE=seed)[1] for seed in (1, 2)]
    narrow = keys_of(root, name, TOP_P=1e-6)[1]
    assert same(*(files["three_joy_keys.npz"] for files in likeliest))
    assert same(narrow["three_joy_keys.npz"], likeliest[0]["three_joy_keys.npz"])
    with pytest.raises(UserError, match="TOP_P: must be at most 1"):
        infer.run("tiny", name, TOP_P=1.5)
    with pytest.raises(UserError, match="INFERENCE_MODE: unknown key"):
        infer.run("tiny", name, INFERENCE_MODE="streaming")


def test_a_guide_that_is_not_ready_says_so(run, monkeypatch, tmp_path):
    root, name = run
    use_project(root, monkeypatch)
    stopped = root / "workspace/output_train/251121_120000_stopped"
    shutil.copytree(root / "workspace/output_train" / name, stopped)
    (stopped / "manifest.json").unlink()
    weights = read_weights(stopped / "weights.pth")
    torch.save({**weights, "codec_done": torch.tensor(False)}, stopped / "weights.pth")
    with pytest.raises(UserError, match="was stopped while its codec learned"):
        infer.run("tiny", stopped.name)


def test_a_guide_hears_the_partner(tmp_path, monkeypatch):
    """Trained with a partner, it hears what the partner says, and monologues too."""
    project(tmp_path, monkeypatch, groups=(("head",),), TARGET_CHANNELS=["head"])
    shutil.copytree(tmp_path / "datasets/ann/audio", tmp_path / "datasets/other")
    (tmp_path / "datasets/other/two_neutral.wav").unlink()  # a monologue
    write_key(tmp_path, "dataset", "PARTNER_AUDIO_ROOT", {"ann": str(tmp_path / "datasets/other")})
    name = train.run("tiny").run
    folder = tmp_path / "workspace/output_train" / name
    assert read_weights(folder / "weights.pth")["dropout.nulls.partner"].any()  # it has learned what nobody sounds like
    found = load_train_run(folder)

    def heard(**keys):
        sound = {"AUDIO_PATH": f"{tmp_path}/datasets/ann/audio/three_joy.wav", **keys}
        job = build_keyframe_job(section_from_values("inference", sound, "guide"), found)
        drawer = load_drawer(found, torch.device("cpu"), job.options)
        return drawer.hear(talk_inputs(found.spec, job.options, job.talks[0], None)).layers[0][0]

    of_one, of_three = (
        heard(PARTNER_AUDIO_PATH=f"{tmp_path}/datasets/other/{who}.wav") for who in ("one_neutral", "three_joy")
    )
    assert not torch.equal(of_one, of_three) and not torch.equal(of_three, heard())
    assert keys_of(tmp_path, name, PARTNER_AUDIO_PATH=f"{tmp_path}/datasets/other/one_neutral.wav")[1]
