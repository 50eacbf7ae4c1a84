"""Projects of curves alone in the viewer: data set, run, deployed model and inference on the built-in head, and a body."""

import numpy as np
import pytest
from fakes.curves import BODY, HEAD, SHOTS, curves_dataset
from fakes.project import REGRESSION, use_project, write_configs
from fakes.view_client import end, serve

import audio2face
from audio2face.commands import deploy, infer, preproc, train
from audio2face.commands.view import ViewRequest, build_library
from audio2face.face.curves import Block, CurveGroup, skeleton_group
from audio2face.face.skeleton import pose_from_values, positions
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.json_file import write_json
from audio2face.problems import UserError
from audio2face.render.head import builtin_head, head_turns, head_weights, pose_head
from audio2face.viewer.curve_groups import ShownGroups
from audio2face.viewer.heads import place_figure

TURN = Block("rotation", HEAD, "YXZ", "radians")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project of curves alone, trained and deployed, with an inference."""
    root = tmp_path_factory.mktemp("curves")
    sound = f"{root}/datasets/ann/audio/three_joy.wav"
    write_configs(
        root,
        dataset=curves_dataset([root / "datasets" / "ann"]),
        preproc={"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)},
        train={
            **REGRESSION,
            "NUM_EPOCHS": 1,
            "VALIDATION_CLIPS": ["three_joy"],
            "TARGET_CHANNELS": ["arkit", "head", "body"],
        },
        inference={"AUDIO_PATH": sound, "OUTPUT_FORMATS": ["npy"], "ACTOR_NAME": "ann"},
    )
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        preproc.run("tiny", "ann")
        name = train.run("tiny").run
        infer.run("tiny", name)
        yield root


def head_of(weights, names, raw):
    return pose_head(head_weights(weights, names), head_turns(TURN, raw))


def opened(wish, shot=None):
    """A library, the details of the shot of that name, and a function that gives a whole channel of its tracks."""
    library = build_library(wish)
    client = serve(library)
    number = next(i for i, s in enumerate(library.shots) if s.name == (shot or library.shots[0].name))
    about = client.json(f"api/shots/{number}")
    assert not about["problems"]

    def whole(track, channel):
        pieces = -(-track["num_frames"] // track["chunk_frames"])
        return np.concatenate([client.piece(track, k)[channel] for k in range(pieces)])

    return library, client, about, whole


def test_a_data_set_of_curves_is_shown_on_the_head_with_its_body(root):
    library, client, about, whole = opened(ViewRequest("tiny"), "two_neutral")
    track, home = about["truth"], root / "datasets/ann"
    assert {shot.name for shot in library.shots} == set(SHOTS) and "built-in head" in library.notices[0]
    table, head = (read_curve_table(home / group / "two_neutral.npz") for group in ("arkit", "head"))
    expected = head_of(np.clip(table.values, 0, 1), table.names, head.values)
    np.testing.assert_allclose(whole(track, "skin"), expected[: track["num_frames"]], atol=2e-3)
    body, values, _ = read_bvh(home / "body/two_neutral.bvh")
    joints = positions(body, *pose_from_values(body, values))
    np.testing.assert_allclose(
        whole(track, "figure"), place_figure(joints, joints[0], True)[: track["num_frames"]], atol=5e-3
    )
    assert track["start_s"] == pytest.approx(0.5 / 30) and track["fps"] == 30 and track["has_curves"]
    end(client)


def test_a_run_of_curves_animates_live_beside_what_was_captured(root):
    library, client, about, whole = opened(ViewRequest("tiny", "latest", "train"), "three_joy")
    assert library.shots[0].name == "three_joy" and library.shots[0].note == "held out"
    library.model.wait()
    asked = b'{"shot": 0, "emotion": {"joy": 1}, "actor": "ann", "postprocess": false}'
    live = client.finished(client.json("api/animate", method="POST", body=asked, Content_Type="application/json"))
    assert not live["error"] and {c["name"] for c in live["channels"]} == {"skin", "figure"}
    run = sorted((root / "workspace/output_train").iterdir())[-1].name
    deploy.run("tiny", run)
    model = audio2face.load_model(root / "workspace/output_deploy" / run)
    made = model.animate(root / "datasets/ann/audio/three_joy.wav", emotion={"joy": 1})
    names = made.face.curves["arkit"].names
    expected = head_of(made.curves["arkit"], names, made.curves["head"])
    np.testing.assert_allclose(whole(live, "skin"), expected, atol=5e-3)
    joints = positions(BODY, *pose_from_values(BODY, made.curves["body"]))
    np.testing.assert_allclose(whole(live, "figure"), place_figure(joints, joints[0], True), atol=2e-2)
    curves = client.json(f"api/curves/{live['id']}")
    assert tuple(curves["names"]) == names
    np.testing.assert_allclose(np.transpose(curves["weights"]), made.curves["arkit"], atol=1e-3)
    end(client)
    alone = build_library(ViewRequest(str(root / "workspace/output_deploy" / run)))
    assert alone.actors[0].triangles["skin"] is builtin_head().triangles and len(alone.actors[0].bones) == 1
    alone.close()


def test_an_inference_of_curves_is_shown_beside_the_captured_shot(root):
    library, client, about, whole = opened(ViewRequest("tiny", "latest", "inference"))
    assert [shot.name for shot in library.shots] == ["three_joy"] and about["truth"]
    folder = next((root / "workspace/output_inference").iterdir())
    arrays = {group: np.load(next(folder.glob(f"*_{group}.npy"))) for group in ("arkit", "head")}
    track = about["prediction"]
    names = client.json(f"api/curves/{track['id']}")["names"]
    np.testing.assert_allclose(whole(track, "skin"), head_of(arrays["arkit"], names, arrays["head"]), atol=2e-3)
    assert track["start_s"] == pytest.approx(0.5 / 30)
    end(client)


def test_an_evaluation_of_curves_lists_its_worst_shot_first(root):
    run = sorted((root / "workspace/output_train").iterdir())[-1].name
    rows = [{"actor": "ann", "shot": shot, "relative_error": e} for shot, e in zip(SHOTS, (0.2, 0.9, 0.5), strict=True)]
    shots = [{"actor": "ann", "shot": shot, "emotion": "neutral"} for shot in SHOTS]
    curves = {"arkit": {"systems": {run: {"by_shot": rows}}}, "head": {"systems": {run: {"by_shot": rows[:1]}}}}
    report = {"training_runs": [run], "emotion": None, "shots": shots, "systems": {}, "curves": curves}
    write_json(root / "workspace/output_evaluate/251121_140000_tiny/report.json", report)
    library = build_library(ViewRequest("tiny", "251121_140000_tiny"))
    assert [shot.name for shot in library.shots] == [SHOTS[1], SHOTS[2], SHOTS[0]]
    assert library.shots[0].note == "held out, arkit, 90% of the mean pose's error"
    library.close()


def test_a_group_that_cannot_be_read_is_named(root):
    path = root / "datasets/ann/head/one_neutral.npz"
    good = path.read_bytes()
    path.write_bytes(b"nothing")
    try:
        with pytest.raises(UserError, match="one_neutral.npz"):
            build_library(ViewRequest("tiny"))
    finally:
        path.write_bytes(good)


def test_what_cannot_be_seen_is_an_actor_without_meshes():
    rig = {"rig": CurveGroup("rig", (Block("plain", ("dial",)),))}
    assert not ShownGroups(rig).has_head and not ShownGroups(rig).actor("ann").triangles
    with pytest.raises(ValueError, match="cannot be shown"):
        ShownGroups(rig).track({"rig": np.zeros((4, 1), np.float32)}, 30.0, 0.0)
    body = {"body": skeleton_group("body", BODY)}
    assert ShownGroups(body).actor("ann").bones.tolist() == [[0, 1]] and ShownGroups(body).points() == {"figure": 2}
