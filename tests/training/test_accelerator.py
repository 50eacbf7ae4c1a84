"""Training on an accelerator, which no test machine has: every tensor is where it is used, and no step waits for another."""

import pytest
import torch
from fakes.accelerator import DEVICE, fake_accelerator, on_cpu
from fakes.actor import ACTOR, SHOTS
from fakes.project import diffusion_project, regression_project, use_project

from audio2face.commands import preproc
from audio2face.config import load_config
from audio2face.models.common.inputs import build_inputs
from audio2face.models.diffusion import build as diffusion_setup
from audio2face.models.regression import build as regression_setup
from audio2face.runtime import Runtime
from audio2face.training.loop import Fit
from tests.models.test_diffusion_network import make as make_network

pytestmark = pytest.mark.filterwarnings("ignore:.*non-meta parameter")


def inputs_of(root, monkeypatch):
    """The inputs of the project `tiny`, preprocessed."""
    use_project(root, monkeypatch)
    sections = load_config("tiny", ("train", "dataset"), optional=("inference",))
    for actor in sections["dataset"].ACTOR_NAMES:
        preproc.run("tiny", actor)
    return build_inputs("tiny", sections["train"], sections["dataset"], sections["inference"])


def train(training, waits):
    """Two steps with a checkpoint between them; returns what the second one waited for."""
    fit, batches = Fit(training.method, training.settings), training.method.data.batches(0)
    fit.model.train()
    fit.backward(next(batches))
    fit.optimizer_step()
    fit.load_state_dict(on_cpu(fit.state_dict()))
    batch = next(batches)
    waits.found.clear()
    fit.backward(batch)
    fit.optimizer_step()
    found = list(waits.found)
    with fit.as_it_would_end():
        assert training.validate.measure() and training.preview.predict().size
    assert all(p.device == DEVICE for p in fit.model.parameters())
    return found


def test_regression(tmp_path, monkeypatch):
    by_emotion = {"LOSS_LIP_DIST_EMO_WEIGHTS": {"joy": 2.0}, "LOSS_LIP_SIZE_EMO_WEIGHTS": {"joy": 2.0}}
    muted = [(ACTOR, (SHOTS[0], 3), 20, "joy")]
    regression_project(
        tmp_path, frames=12, EMA_DECAY=0.9, WEIGHT_DECAY=0.1, LOSS_LIP_SIZE_ALPHA=1.0, LOSS_VOL_STAB_REG_ALPHA=1.0,
        REMOVE_CLOSING_EYE=True, AUG_MUTED_SHOTS=muted, **by_emotion,
    )  # fmt: skip
    inputs = inputs_of(tmp_path, monkeypatch)
    monkeypatch.setattr(regression_setup, "_report_closed_eyes", lambda *_: None)  # looks at values
    with fake_accelerator(monkeypatch) as waits:
        assert train(regression_setup.build(inputs, Runtime(DEVICE)), waits) == []


@pytest.mark.parametrize("network", ["diffusion_rnn", "diffusion_rnn_pca"])
@pytest.mark.slow
def test_diffusion(tmp_path, monkeypatch, network):
    diffusion_project(
        tmp_path, ("ann", "bob"), NETWORK_NAME=network, EMA_DECAY=0.9, BATCH_SIZE=1, VALIDATION_CLIPS="two*",
        LOSS_LIP_DIST_EMO_WEIGHTS={"joy": 2.0}, LOSS_VELOCITY_ALPHA=1.0, GRADIENT_CLIP_NORM=1.0,
    )  # fmt: skip
    inputs = inputs_of(tmp_path, monkeypatch)
    with fake_accelerator(monkeypatch) as waits:
        found = train(diffusion_setup.build(inputs, Runtime(DEVICE)), waits)
    assert found == ["_to_copy"] * 3  # where frames lie among the steps of an encoder that is trained


def test_recurrent_layers_leave_autocast(monkeypatch):
    """For them it knows float16 alone, which overflows without scaled losses."""
    within = []

    class Autocast:
        def __init__(self, kind, enabled):
            self.enabled = enabled

        def __enter__(self):
            within.append(self.enabled)

        def __exit__(self, *_):
            within.pop()

    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: not within)
    monkeypatch.setattr(torch, "autocast", Autocast)
    network = make_network(dropout=0.3).to(DEVICE).train()
    x = torch.zeros(2, 5, network.gru.input_size, dtype=torch.bfloat16, device=DEVICE)
    state = torch.zeros(2, 2, network.gru.hidden_size, dtype=torch.bfloat16, device=DEVICE)
    for before in (None, state):
        hidden, after = network._recur(x, before)  # refused when the types of x and the weights differ
        assert hidden.dtype == after.dtype == torch.float32 and hidden.device == DEVICE
