"""A mesh with skin weights on the skeleton of curves, as the page gets it: captured, made, as files, and live."""

import json

import numpy as np
import pytest
import soundfile
from fakes.body import arm, body_arrays
from fakes.conversation import SMALL
from fakes.curves import FPS, RATE, SHOTS, speech
from fakes.project import DIFFUSION, use_project, write_configs
from fakes.view_client import end, serve

from audio2face.commands import infer, preproc, train
from audio2face.commands.view import ViewRequest, build_library
from audio2face.face.curves import skeleton_group
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.bvh import write_bvh
from audio2face.problems import UserError
from audio2face.render.curves_film import figure_parts
from audio2face.viewer.curve_groups import ShownGroups
from audio2face.viewer.heads import figure_place

MESH = body_mesh(body_arrays())
GROUPS = {"body": skeleton_group("body", arm())}


def motion(seed, frames=60):
    """Places and turns (T, 12) of the arm, in degrees, that are small."""
    return 8 * np.random.default_rng(seed).normal(size=(frames, 12)).cumsum(axis=0) / np.sqrt(frames)


def expected(values, beside=False):
    """The skin (T, V, 3) and joints (T, J, 3) that values (T, 12) show, by the film's own way."""
    parts = figure_parts(arm(), values, MESH)
    skin = np.stack([parts["body"].posed(parts["turns"][t], parts["joints"][t]) for t in range(len(values))])
    stands = figure_place(parts["joints"][0], beside)
    return stands(skin), stands(parts["joints"])


def channels(track):
    return {channel.name: channel.read(0, track.num_frames) for channel in track.channels}


def test_curves_move_the_mesh_where_the_film_shows_it():
    values = motion(0)
    shown = ShownGroups(GROUPS, MESH)
    found = channels(shown.track({"body": values}, 30.0, 0.0))
    skin, joints = expected(values)
    np.testing.assert_allclose(found["body"], skin, atol=1e-4)
    np.testing.assert_allclose(found["figure"], joints, atol=1e-4)
    actor = shown.actor("ann")
    assert actor.triangles["body"].tolist() == MESH.triangles.tolist() and shown.points() == {"figure": 3, "body": 8}
    piece = shown.frames({"body": values[20:30]}, {"body": values[:1]})  # live
    np.testing.assert_allclose(piece["body"], skin[20:30], atol=1e-4)


def test_at_rest_it_is_the_mesh_and_it_goes_beside_a_head_with_its_bones():
    still = np.zeros((2, 12))
    np.testing.assert_allclose(
        channels(ShownGroups(GROUPS, MESH).track({"body": still}, 30.0, 0.0))["body"][1], MESH.vertices, atol=1e-5
    )
    (skin, joints), (moved, bones) = expected(motion(1)), expected(motion(1), beside=True)
    scale = np.linalg.norm(bones[0, 2] - bones[0, 1]) / np.linalg.norm(joints[0, 2] - joints[0, 1])
    np.testing.assert_allclose(moved - bones[:, :1], scale * (skin - joints[:, :1]), atol=1e-2)


def test_frames_without_a_place_keep_the_skin_before():
    values = motion(2)
    values[10:13, 0] = np.nan
    found = channels(ShownGroups(GROUPS, MESH).track({"body": values}, 30.0, 0.0))["body"]
    np.testing.assert_array_equal(found[12], found[9])


def test_a_mesh_of_other_names_leaves_the_skeleton():
    shown = ShownGroups(GROUPS, body_mesh(body_arrays(prefix="other_")))
    assert shown.points() == {"figure": 3} and not shown.actor("ann").triangles
    assert set(channels(shown.track({"body": motion(3)}, 30.0, 0.0))) == {"figure"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project of an arm that is trained for a moment, with a mesh for it, and an inference."""
    root = tmp_path_factory.mktemp("bodies")
    home = root / "datasets/ann"
    for folder in ("audio", "body"):
        (home / folder).mkdir(parents=True)
    for number, shot in enumerate(SHOTS):
        soundfile.write(home / "audio" / f"{shot}.wav", speech(number), RATE)
        write_bvh(home / "body" / f"{shot}.bvh", arm(), motion(number), FPS)
    np.savez(home / "body.npz", **body_arrays())
    dataset = {
        "ACTOR_NAMES": ["ann"],
        "CACHE_FPS": {"ann": float(FPS)},
        "SHOT_EMOTION_NAMES": ["neutral", "joy"],
        "AUDIO_ROOT": {"ann": str(home / "audio")},
        "CURVES_ROOT": {"ann": {"body": str(home / "body")}},
        "BODY_MESH_FPATH": {"ann": str(home / "body.npz")},
        "SKIP_DATA_CHECKS": ["*"],
    }
    keys = {**DIFFUSION, "NETWORK_NAME": "diffusion_transformer", "NETWORK_HYPER_PARAMS": SMALL, "PREVIEW_PERIOD": None}
    sound = str(home / "audio/three_joy.wav")
    write_configs(
        root,
        dataset=dataset,
        preproc={},
        train={**keys, "TARGET_CHANNELS": ["body"], "VALIDATION_CLIPS": ["three_joy"]},
        inference={"AUDIO_PATH": sound, "OUTPUT_FORMATS": ["npz"], "NUM_DIFFUSION_STEPS": 2},
    )
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        preproc.run("tiny", "ann")
        infer.run("tiny", train.run("tiny").run)
        infer.run("tiny", "latest", OUTPUT_FORMATS=["bvh"])
        yield root


def skin_of(client, track):
    pieces = -(-track["num_frames"] // track["chunk_frames"])
    return np.concatenate([client.piece(track, piece)["body"] for piece in range(pieces)])


def test_captured_and_made_bodies_have_their_skin(root):
    library = build_library(ViewRequest("tiny", "latest", "train"))
    client = serve(library)
    scene = client.json("api/scene")
    assert scene["actors"][0]["triangles"] == {"body": len(MESH.triangles)}
    faces = np.frombuffer(client.ask("triangles/0/body")[1], "<u4").reshape(-1, 3)
    assert faces.tolist() == MESH.triangles.tolist()
    (shot,) = [shot for shot in scene["shots"] if shot["name"] == "three_joy"]
    truth = client.json(f"api/shots/{shot['id']}")["truth"]
    np.testing.assert_allclose(skin_of(client, truth), expected(motion(2))[0], atol=0.05)
    wish = json.dumps({"shot": shot["id"], "whole": True, "seed": 1}).encode()
    request = client.json("api/make", method="POST", body=wish)["request"]
    library.studio.wait(60)
    take = client.json(f"api/made/{request}")["takes"][0]
    values = np.load(library.studio.request(request).takes[0].file)["values"]
    np.testing.assert_allclose(skin_of(client, take), expected(values)[0], atol=0.05)
    end(client)


def test_files_of_an_inference_have_it_too(root):
    for folder in sorted((root / "workspace/output_inference").iterdir()):
        library = build_library(ViewRequest("tiny", folder.name))
        track = library.track(library.open(0, "prediction"))
        assert {channel.name for channel in track.channels} == {"figure", "body"}
        library.close()


@pytest.mark.slow
def test_the_page_draws_the_body_or_its_bones(root):
    pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
    from fakes.browser import Browser, find_browser

    if find_browser() is None:
        pytest.skip("no Chromium here (or name one with A2F_BROWSER)")
    client = serve(build_library(ViewRequest("tiny")))
    page = Browser(find_browser(), 900, 600)
    try:
        page.open(client.server.url)
        page.wait("window.viewer && viewer.state().firstDrawn > 0", 60)
        pictures = [page.screenshot()]
        for element in ("body", "figure"):  # the bones, and nothing
            page.run(f"document.getElementById({element!r}).click()")
            page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            pictures.append(page.screenshot())
        assert len(set(pictures)) == 3 and page.errors == [] and page.run("viewer.state()")["problems"] == []
    finally:
        page.close()
        end(client)


def test_a_mesh_that_cannot_be_used_is_named(root):
    path = root / "datasets/ann/body.npz"
    good = path.read_bytes()
    try:
        np.savez(path, **body_arrays(prefix="other_"))
        library = build_library(ViewRequest("tiny"))
        assert any("BODY_MESH_FPATH of ann" in notice for notice in library.notices)
        library.close()
        path.write_bytes(b"nothing")
        with pytest.raises(UserError, match="body.npz"):
            build_library(ViewRequest("tiny"))
    finally:
        path.write_bytes(good)
