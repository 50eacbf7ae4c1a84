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
from audio2face.face.curves import Block, CurveGroup
from audio2face.render.head import of_camera_axes
from audio2face.serving.curves import find_wire_curves
from audio2face.serving.names import ARKIT
from audio2face.serving.options import ServeOptions

STILL = {"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)}
FACE = CurveGroup("arkit", (Block("weights", ("blendShapes.JawOpen", "mouthSmile_L", "wink"), low=0.0, high=1.0),))
LIVE_LINK = CurveGroup("head", (Block("rotation", ("HeadYaw", "HeadPitch", "HeadRoll"), "YXZ", "degrees"),))


def test_weights_go_by_their_names_and_the_head_by_live_links_angles():
    found = find_wire_curves({"arkit": FACE, "head": LIVE_LINK})
    assert found.names == ("jawOpen", "mouthSmileLeft", "wink")
    curves = {"arkit": np.arange(6, dtype=np.float32).reshape(2, 3), "head": np.array([[10, -20, 5], [0, 0, 0]])}
    assert found.weights(curves, 2).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.head_turns(curves, 2) == pytest.approx(curves["head"], abs=1e-4)


@pytest.mark.parametrize(
    ("own", "turns"),
    [((0, 30, 0), (30, 0, 0)), ((30, 0, 0), (0, -30, 0)), ((0, 0, 30), (0, 0, -30))],
    ids=["about y", "about x", "about z"],
)
def test_a_head_that_is_told_in_its_own_axes(own, turns):
    """x to the person's left, y up, z forward: about x is a nod, and about z leans to the person's right."""
    group = CurveGroup(
        "body",
        (Block("translation", ("x", "y", "z")), Block("rotation", ("head_x", "head_y", "head_z"), "XYZ", "degrees")),
    )
    found = find_wire_curves({"body": group})
    curves = {"body": np.array([[1, 2, 3, *own]], float)}
    assert found.head_turns(curves, 1)[0] == pytest.approx(turns, abs=1e-4)
    assert found.names == () and found.weights(curves, 1).shape == (1, 0)
    back = Block("rotation", ("a", "b", "c"), "YXZ", "degrees").matrices(found.head_turns(curves, 1))
    assert np.allclose(of_camera_axes(back), group.blocks[1].matrices(np.array([own])), atol=1e-6)


def test_without_a_head_and_without_frames():
    found = find_wire_curves({"arkit": FACE})
    assert found.head is None and not found.head_turns({"arkit": np.zeros((4, 3))}, 4).any()
    empty = find_wire_curves({"arkit": FACE, "head": LIVE_LINK})
    assert empty.head_turns({"head": np.zeros((0, 3))}, 0).shape == (0, 3)


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
