import json
import socket

import numpy as np
import pytest
from fakes.curves import curves_dataset
from fakes.project import REGRESSION, use_project, write_configs
from fakes.server import animate, running, speech, weights_of
from websockets.sync.client import connect

from audio2face import load_model
from audio2face.commands import deploy, preproc, train
from audio2face.serving.names import ARKIT
from audio2face.serving.options import ServeOptions

STILL = {"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)}


@pytest.fixture(scope="module")
def curves_model(tmp_path_factory):
    """A model of ARKit's weights, a head and a body, without a mesh."""
    root = tmp_path_factory.mktemp("curves")
    keys = {**REGRESSION, "NUM_EPOCHS": 1, "VALIDATION_CLIPS": [], "TARGET_CHANNELS": ["arkit", "head", "body"]}
    write_configs(root, dataset=curves_dataset([root / "datasets/ann"]), train=keys, preproc=STILL)
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        preproc.run("tiny", "ann")
        run = train.run("tiny").run
        deploy.run("tiny", run)
    return load_model(root / "workspace/output_deploy" / run)


def test_a_model_without_a_mesh_is_served(curves_model):
    """Its weights as they are, in the order of the wire, and its head to those who can take it."""
    options, samples = ServeOptions(), speech(1.0)
    alone = curves_model.animate(samples, 16000, peak=1.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        pages = f"127.0.0.1:{free.getsockname()[1]}"
    with running(curves_model, options, http=pages) as address:
        _, frames, _ = animate(address, samples)
        with connect(f"ws://{pages}/stream", compression=None) as link:
            link.send('{"type": "start", "sample_rate": 16000, "want": ["weights", "head"]}')
            link.send(samples.tobytes())
            link.send('{"type": "end"}')
            answers = [json.loads(text) for text in link][1:-1]
    own = [name[:1].upper() + name[1:] for name in alone.face.curves["arkit"].names]
    expected = np.stack([alone.curves["arkit"][:30, own.index(name)] for name in ARKIT], axis=1)
    assert expected.any() and np.allclose(weights_of(frames), expected, atol=1e-5)
    assert np.allclose([a["w"] for a in answers], expected, atol=1e-4)
    turns = np.rad2deg(alone.curves["head"][:30])  # of phones, in radians
    assert turns.any() and np.allclose([a["head"] for a in answers], turns, atol=1e-2)
