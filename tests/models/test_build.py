"""What both families build from config_train: each key does what its comment says, also where it alone is set."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.actor import Blob, actor
from fakes.project import diffusion_project, use_project

from audio2face.audio.windows import Streaming
from audio2face.commands import preproc
from audio2face.config import load_config, section_from_values
from audio2face.dataset.split import NOTHING_HELD_OUT, held_out_shots
from audio2face.models.common.encoders.autocorr import Autocorrelation
from audio2face.models.common.inputs import build_inputs
from audio2face.models.common.targets import build_targets
from audio2face.models.common.vertex_distances import build_distances, pair_distances
from audio2face.models.diffusion import build as diffusion_setup
from audio2face.models.regression import build as regression_setup
from audio2face.problems import UserError
from audio2face.runtime import Runtime
from audio2face.types import Shot

CPU = torch.device("cpu")
MUTED = [("ann", ("two_joy", 7), 30, "neutral"), ("ann", ("two_joy", 7), 30, "joy")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project of two actors, which are preprocessed; tests write its config_train anew."""
    root = tmp_path_factory.mktemp("switches")
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        actor(root / "datasets/ann", who=Blob(seed=0, motions=3), jaw=True)
        write(root)
        for name in ("ann", "bob"):
            preproc.run("tiny", name)
    return root


def write(root, **train):
    diffusion_project(root, ("ann", "bob"), **{"VALIDATION_CLIPS": None, **train})


@pytest.fixture
def inputs_of(root, monkeypatch):
    """inputs_of(KEY=value) are the inputs of a training with these keys."""
    use_project(root, monkeypatch)

    def make(**train):
        write(root, **train)
        sections = load_config("tiny", ("train", "dataset"), optional=("inference", "preproc"))
        return build_inputs(
            "tiny", sections["train"], sections["dataset"], sections["inference"], None, sections["preproc"]
        )

    return make


def test_phonemes_are_off_with_the_weight_of_their_loss():
    train = section_from_values("train", {"LOSS_PHONEME_ALPHA": None})
    assert train.LOSS_PHONEME_MOTION_ALPHA
    inputs = SimpleNamespace(train=train, clips=[SimpleNamespace(language="en")])
    assert regression_setup._build_phoneme_models(inputs, Runtime(CPU)) == {}  # no model is looked for


def test_silent_clips_of_the_neutral_emotion_are_neutral_all_over(inputs_of):
    def still(**train):
        inputs = inputs_of(AUG_MUTED_SHOTS=MUTED, **train)
        layout = diffusion_setup.build(inputs, Runtime(CPU)).method.data.layout
        targets = build_targets(inputs, layout)
        muted = {clip.shot.emotion: layout.split(targets.of(clip).values[0]) for clip in inputs.clips if clip.held}
        return {emotion: {name for name, x in parts.items() if x.any()} for emotion, parts in muted.items()}

    every = {"skin_coeffs", "tongue_coeffs", "jaw", "eye"}
    assert still() == {"neutral": {"tongue_coeffs"}, "joy": every}
    assert still(SHOT_EMOTION_NAME_FOR_ALL_ZEROS=None) == {"neutral": {"tongue_coeffs"}, "joy": every}
    assert still(SHOT_EMOTION_NAME_FOR_ALL_ZEROS="joy", AUG_MUTED_TONGUE_IS_NEUTRAL=True) == {
        "neutral": every - {"tongue_coeffs"},
        "joy": set(),
    }
    assert still(AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO=False)["neutral"] == every


def test_a_training_that_holds_nothing_out_says_so_once(inputs_of, caplog):
    caplog.set_level("INFO")
    inputs_of()
    assert [r.message for r in caplog.records].count(NOTHING_HELD_OUT) == 1
    assert "VALIDATION_CLIPS = 0.1" in NOTHING_HELD_OUT and "run_evaluate.py" in NOTHING_HELD_OUT
    caplog.clear()
    assert inputs_of(VALIDATION_CLIPS=["one_neutral"]).validation and NOTHING_HELD_OUT not in caplog.text


def test_channels_that_are_left_out_are_not_learnt(inputs_of):
    training = diffusion_setup.build(inputs_of(TARGET_CHANNELS=["skin_pose", "tongue_pose", "eye"]), Runtime(CPU))
    data = training.method.data
    assert training.spec.at_rest("ann") == ["jaw"]
    assert training.spec.at_rest("bob") == ["tongue_coeffs", "jaw", "eye"]  # bob has no such files
    [batch] = [b for b in data.batches(0) if b.clips == [0]]
    known, target = (data.layout.split(x[0]) for x in (batch.known, batch.target))
    assert {name for name, x in known.items() if x.all()} == {"skin_coeffs", "tongue_coeffs", "eye"}
    assert not target["jaw"].any() and target["eye"].any()


def test_diffusion_is_always_rescaled(inputs_of):
    with pytest.raises(UserError, match="RESCALE_TARGET_CHANNEL_DATA: must stay True in diffusion"):
        inputs_of(RESCALE_TARGET_CHANNEL_DATA=False)


def test_the_steps_that_are_trained(inputs_of, monkeypatch):
    method = diffusion_setup.build(inputs_of(TIMESTEP_RESPACING="3"), Runtime(CPU)).method
    seen = set()

    def denoise(x_t, t, *_, **__):
        seen.update(t.tolist())
        return torch.zeros_like(x_t), None

    monkeypatch.setattr(method, "denoise", denoise)
    for epoch in range(8):
        for batch in method.data.batches(epoch):
            method.loss(batch, 0.0)
    assert seen == {0, 500, 999} or seen == {0, 499, 999}
    with pytest.raises(UserError, match="TIMESTEP_RESPACING 'ddim10' leaves step 999 untrained"):
        diffusion_setup.build(inputs_of(TIMESTEP_RESPACING="ddim10"), Runtime(CPU))


def test_what_is_measured_on_is_not_augmented(inputs_of, monkeypatch):
    made = []
    build = diffusion_setup.build_segments
    monkeypatch.setattr(diffusion_setup, "build_segments", lambda *a, **k: made.append(build(*a, **k)) or made[-1])
    augment = {"timeshift": 1.0, "pitch_shift": {"min_semitones": -2, "max_semitones": 2, "p": 0.5}}
    monkeypatch.setattr("audio2face.audio.augment.load_pitch_shift", lambda rate: lambda x, semitones: x * 0)
    inputs = inputs_of(AUGMENT=augment)
    inputs = replace(inputs, clips=inputs.clips[:3], validation=inputs.clips[3:])
    diffusion_setup.build(inputs, Runtime(CPU))
    taught, measured = (data.params for data in made[:2])
    assert taught.pitch == (-2, 2, 0.5) and taught.timeshift == 1.0
    assert measured.pitch is None and measured.timeshift == 0.0


def test_latest_is_a_run_of_the_projects_own_name(root, inputs_of):
    before = inputs_of().runs["ann"].name
    with (root / "configs/tiny/config_preproc.py").open("a") as file:
        file.write("RUN_NAME = 'other'\n")
    other = preproc.run("tiny", "ann")
    assert other.endswith("_other")
    assert inputs_of().runs["ann"].name == before  # of RUN_NAME "default" again
    with (root / "configs/tiny/config_preproc.py").open("a") as file:
        file.write("RUN_NAME = 'third'\n")
    sections = load_config("tiny", ("train", "dataset", "preproc"))
    with pytest.raises(UserError, match="no finished preprocessing run named third"):
        build_inputs("tiny", sections["train"], sections["dataset"], preproc=sections["preproc"])


def test_actors_may_have_lists_of_different_lengths(root, inputs_of):
    path = root / "datasets/bob/geom/skin/lip_dist_vertex_list.json"
    before = path.read_text()
    path.write_text(json.dumps({"upper": [0, 1, 8], "lower": [2, 3, 9]}))
    inputs = inputs_of()
    distances = build_distances(inputs, 5, CPU, "lip_dist")
    path.write_text(before)
    coeffs = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    found = distances(coeffs, torch.tensor([0, 1])).mean(dim=1)
    for row, (name, upper, lower) in enumerate([("ann", [0, 1], [2, 3]), ("bob", [0, 1, 8], [2, 3, 9])]):
        skin = inputs.runs[name].skin
        basis, mean = [skin.components], [skin.mean]
        own = pair_distances(basis, mean, [np.array(upper)], [np.array(lower)], 5, CPU)
        alone = own(coeffs[row : row + 1], torch.tensor([0]))
        assert alone.shape == (1, len(upper))
        assert found[row].item() == pytest.approx(alone.mean().item(), rel=1e-5)


def test_every_actor_needs_a_clip(inputs_of):
    clip = ("ann", "one_neutral", (0, 59), "ann", "en", "one_neutral.wav", 0)
    with pytest.raises(UserError, match="actor 'bob' has no clip to train on"):
        inputs_of(CLIPS=[clip])
    shots = [Shot(actor, "only", 90, 30.0, "neutral") for actor in "abcdefghi"] + [
        Shot("z", str(i), 90, 30.0, "neutral") for i in range(3)
    ]
    held = held_out_shots(0.1, shots)
    assert {actor for actor, _ in held} == {"z"}


def test_what_cannot_be_exported_is_told_before_training(inputs_of):
    odd = {"audio_pad_left": 16000, "audio_pad_right": 16000, "window_size": 16000}
    odd |= {"left_truncate": 5, "block_frame_size": 15, "right_truncate": 5}
    for entries in ({"25": odd}, {}):
        with pytest.raises(
            UserError, match='windows of 25 frames with 2 steps and 175 values a frame.*"buffer_len": 15360'
        ):
            diffusion_setup.build(inputs_of(TARGET_FPS=25.0, STREAMING_CFG=entries), Runtime(CPU))
    even = dict.fromkeys(("buffer_len", "padding_left", "padding_right"), 15360)
    training = diffusion_setup.build(inputs_of(TARGET_FPS=25.0, AUDIO_PARAMS=even), Runtime(CPU))
    assert Streaming.of(training.spec.extra["streaming"]) == Streaming(6, 12, 6, window=15360, pad_left=15360)
    with pytest.raises(UserError, match="NUM_DIFFUSION_STEPS: '2'"):
        diffusion_setup.build(inputs_of(DIFFUSION_STEPS=1), Runtime(CPU))


def test_windows_are_computed_for_a_rate_without_an_entry(inputs_of):
    training = diffusion_setup.build(inputs_of(TARGET_FPS=24.0, STREAMING_CFG={}), Runtime(CPU))
    streaming = Streaming.of(training.spec.extra["streaming"])
    assert streaming == Streaming(left=6, centre=12, right=6, window=16000, pad_left=16000)
    assert streaming.lead.is_integer()


def test_shapes_from_elsewhere_go_all_the_way(root, inputs_of, tmp_path):
    run = inputs_of().runs["ann"]
    poses = run.skin_coeffs("two_joy") @ run.skin.components.reshape(3, -1) + run.skin.mean.ravel()
    shapes, mean = np.ascontiguousarray(run.skin.components[[2, 0, 1]]), run.skin.mean + run.skin.components[0]
    coeffs = {shot: run.skin_coeffs(shot)[:, [2, 0, 1]] - np.float32([0, 1, 0]) for shot in ("one_neutral", "two_joy")}
    np.savez(tmp_path / "shapes.npz", shapes_matrix=shapes, shapes_mean=mean)
    np.savez(tmp_path / "coeffs.npz", **coeffs)
    keys = {"SKIN_PCA_SHAPES_FPATH": {"ann": str(tmp_path / "shapes.npz")}}
    keys |= {"SKIN_PCA_COEFFS_FPATH": {"ann": str(tmp_path / "coeffs.npz")}, "NETWORK_NAME": "diffusion_rnn"}
    inputs = inputs_of(**keys)
    own = inputs.runs["ann"]
    assert np.array_equal(own.network_data["shapes_matrix_skin"], shapes)
    assert np.array_equal(own.network_data["neutral_skin"], mean)
    method = diffusion_setup.build(inputs, Runtime(CPU)).method
    clip = next(i for i, c in enumerate(inputs.clips) if (c.shot.actor, c.shot.name) == ("ann", "two_joy"))
    target = torch.from_numpy(build_targets(inputs, method.data.layout).of(inputs.clips[clip]).values)[None]
    frames = method.codec.frames(target, torch.eye(len(inputs.actors))[:1])[0, :, : poses.shape[1]]
    info = own.data_info
    there = frames.unflatten(1, (-1, 3)) * info["scale_skin"] + torch.tensor(info["translate_skin"])
    torch.testing.assert_close(there.flatten(1), torch.from_numpy(poses), atol=1e-3, rtol=0)
    np.savez(tmp_path / "shapes.npz", shapes_matrix=shapes[:2], shapes_mean=mean)
    assert inputs_of(**keys).runs["ann"].data_info["num_shapes_skin"] == 2
    with pytest.raises(UserError, match="skin_coeffs has 3 values a frame, 2 are expected"):
        diffusion_setup.build(inputs_of(**keys), Runtime(CPU))
    np.savez(tmp_path / "shapes.npz", shapes_matrix=shapes[:, :9], shapes_mean=mean[:9])
    with pytest.raises(UserError, match="shapes of 9 vertices"):
        inputs_of(**keys)


def test_autocorrelation_without_a_window():
    plain = Autocorrelation(win_func=None)
    assert torch.equal(plain.window, torch.ones(640))
