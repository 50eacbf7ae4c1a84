"""Animations that are made and edited on the page: what the server makes of its wishes, and what it refuses."""

import json

import numpy as np
import pytest
from fakes.project import sequence_run
from fakes.view_client import end, serve

from audio2face.commands.view import ViewRequest, build_library


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch:
        yield root, sequence_run(root, patch)


@pytest.fixture(scope="module")
def client(place):
    _, run = place
    library = build_library(ViewRequest("tiny", run))
    client = serve(library)
    yield client
    end(client)
    library.close()


def post(client, address, **wish):
    status, body = client.ask(address, "POST", json.dumps(wish).encode())
    return status, json.loads(body)


def made(client, **wish):
    """The takes of a wish, when they are ready."""
    status, answer = post(client, "api/make", **wish)
    assert status == 200, answer
    client.server.library.studio.wait(60)
    found = client.json(f"api/made/{answer['request']}")
    assert found["state"] == "ready", found
    return answer["request"], found["takes"]


def files(client, number):
    """The skins (T, V, 3) of a wish's takes, as they lie on disk."""
    return [np.load(take.file) for take in client.server.library.studio.request(number).takes]


def test_a_sound_becomes_takes_and_a_range_is_made_anew(client):
    scene = client.json("api/scene")
    assert scene["model"] is None and set(scene["studio"]["parts"]["ann"]) >= {"skin", "mouth"}
    assert all(shot["source"] for shot in scene["shots"])
    number, takes = made(client, shot=0, whole=True, takes=2, seed=3)
    first, second = files(client, number)
    assert len(first) == len(second) > 20 and not np.array_equal(first, second)
    np.testing.assert_allclose(client.piece(takes[0])["skin"], first[: takes[0]["chunk_frames"]], atol=1e-3)
    (now,) = files(client, made(client, shot=0, base=[number, 0], ranges=[[5, 14]], keys=[[9, 9]])[0])
    same = (now == first).all(axis=(1, 2))
    assert [*np.flatnonzero(~same)] == [*range(5, 9), *range(10, 15)]
    (now,) = files(client, made(client, shot=0, base=[number, 1], parts=["mouth"])[0])
    assert not np.array_equal(now, second)


def test_what_is_kept_is_an_inference_run(client, place):
    root, _ = place
    number, (take,) = made(client, shot=0, ranges=[[2, 8]])
    status, answer = post(client, "api/keep", request=number)
    assert status == 200
    folder = root / "workspace/output_inference" / answer["run"]
    report = json.loads(next(folder.glob("*_edit.json")).read_text())
    assert (
        report["regenerated"] == ["2-8"]
        and (folder / report["output"]).exists()
        and not (folder / ".incomplete").exists()
    )
    library = build_library(ViewRequest("tiny", answer["run"]))
    assert library.open(0, "prediction") is not None and library.shots[0].source is not None
    library.close()


@pytest.mark.parametrize(
    "wish, message",
    [
        ({"shot": 99}, "no shot of that number"),
        ({"shot": 0}, "mark frames, a key or parts"),
        ({"shot": 0, "ranges": [[0, 10**6]]}, "outside the file, whose frames are 0 to"),
        ({"shot": 0, "ranges": [[9, 2]]}, "runs backwards"),
        ({"shot": 0, "ranges": "x"}, "ranges: expected pairs of frames"),
        ({"shot": 0, "ranges": [[True, 2]]}, "ranges: expected pairs of frames"),
        ({"shot": 0, "base": [7, 0], "ranges": [[1, 2]]}, "no such take"),
        ({"shot": 0, "parts": ["nose"]}, "unknown part 'nose'"),
        ({"shot": 0, "whole": True, "takes": 0}, "takes: expected"),
        ({"shot": 0, "whole": True, "guidance": float("nan")}, "guidance: expected"),
        ({"shot": 0, "whole": True, "seed": -1}, "seed: expected"),
    ],
)
def test_wishes_that_cannot_be_are_refused(client, wish, message):
    status, answer = post(client, "api/make", **wish)
    assert status == 422 and message in " ".join(answer["error"]), answer


def test_one_wish_at_a_time(client):
    assert post(client, "api/make", shot=0, whole=True, takes=8)[0] == 200
    status, answer = post(client, "api/make", shot=0, whole=True)
    client.server.library.studio.wait(60)
    assert status == 422 and "still computing" in answer["error"][0]
    assert post(client, "api/keep", request=10**6)[1]["error"] == ["there is nothing to keep yet"]
    assert client.ask("api/made/999999")[0] == 404


def test_networks_that_cannot_edit_have_no_studio(client):
    library = client.server.library
    studio, library.studio = library.studio, None
    try:
        assert client.json("api/scene")["studio"] is None
        assert "nothing here can edit" in post(client, "api/make", shot=0, ranges=[[1, 2]])[1]["error"][0]
    finally:
        library.studio = studio
