"""The viewer's server: data as in the files, live models, the secret, refusals."""

import io
import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import viewer as fake_viewer
from fakes.view_client import end, serve, unpack
from fakes.viewer import FACES, RATE, T, V

from audio2face.inference import load_model
from audio2face.problems import UserError
from audio2face.viewer import library as library_module
from audio2face.viewer import server as server_module
from audio2face.viewer.actors import Actor, find_eyes
from audio2face.viewer.library import Library, ShotView, peaks, wav_bytes
from audio2face.viewer.live import AS_TRAINED, LiveModel
from audio2face.viewer.tracks import AnimationStream, Channel, array_channel, eye_turns, jaw_points, pack


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A sound and an animation of 3 s, and a small deployed model."""
    return fake_viewer.write(tmp_path_factory.mktemp("viewer"))


@pytest.fixture(scope="module")
def client(place):
    """A page with a truth, a prediction that differs by a known distance, and a live model."""
    skin = np.load(place / "a_skin.npy")
    tracks = [AnimationStream([array_channel("skin", frames)], T, 30.0) for frames in (skin, skin + np.float32(0.1))]
    shot = ShotView("a", "demo", "joy", place / "a.wav", lambda: tracks[0], lambda: tracks[1], {"joy": 1.0})
    model = LiveModel(lambda: load_model(place / "model", threads=1))
    model.wait()
    client = serve(Library("test", [Actor("demo", {"skin": FACES})], [shot], model))
    yield client
    end(client)


# ---- data


def test_a_piece_is_exact_to_half_a_step():
    frames = np.random.default_rng(1).normal(size=(5, 7, 3)).astype(np.float32) * [1, 10, 0]
    back = unpack(pack(frames), {"skin": 7}, 5)["skin"]
    np.testing.assert_allclose(back, frames, atol=1e-6 + 0.51 * np.ptp(frames[..., 1]) / 65535)
    assert unpack(pack(np.zeros((5, 0, 3))), {"tongue": 0}, 5)["tongue"].shape == (5, 0, 3)
    with pytest.raises(ValueError, match="finite"):
        pack(np.full((1, 1, 3), np.nan))


def test_all_pieces_are_the_file(client, place):
    frames = np.load(place / "a_skin.npy")
    track = client.json("api/shots/0")["truth"]
    assert (track["num_frames"], track["fps"], track["channels"]) == (T, 30.0, [{"name": "skin", "points": V}])
    pieces = [client.piece(track, k)["skin"] for k in range(-(-T // track["chunk_frames"]))]
    np.testing.assert_allclose(np.concatenate(pieces), frames, atol=np.ptp(frames) / 65535)
    assert client.ask(f"data/{track['id']}/{len(pieces)}")[0] == 404
    status, data = client.ask("triangles/0/skin")
    np.testing.assert_array_equal(np.frombuffer(data, "<u4").reshape(-1, 3), FACES)
    assert status == 200 and client.ask("triangles/0/tongue")[0] == 404


def test_pieces_of_large_meshes_are_small():
    many = AnimationStream([Channel("skin", 100_000, lambda first, end: np.zeros((end - first, 100_000, 3)))], 10, 30.0)
    assert many.chunk_frames == 1
    assert (
        AnimationStream([Channel("skin", 6706, lambda a, b: np.zeros((b - a, 6706, 3)))], 1800, 30.0).chunk_frames == 26
    )


def test_the_sound_comes_in_parts(client, place):
    whole = client.ask("sound/0.wav")[1]
    samples, rate = soundfile.read(io.BytesIO(whole))
    np.testing.assert_allclose(samples, soundfile.read(place / "a.wav")[0], atol=1e-4)
    assert rate == RATE
    status, part = client.ask("sound/0.wav", Range="bytes=100-199")
    assert (status, part, client.headers["Content-Range"]) == (206, whole[100:200], f"bytes 100-199/{len(whole)}")
    assert client.ask("sound/0.wav", Range="bytes=-7") == (206, whole[-7:])
    for odd in ("bytes=99999999-", "bytes=-0", "bytes=-"):
        assert client.ask("sound/0.wav", Range=odd) == (200, whole)
    assert client.ask("sound/0.wav", Range="bytes=0-1,4-5") == (200, whole)


def test_peaks_follow_the_loudness():
    rise = np.repeat([0.1, 0.2, 0.4, 0.8], 4000)[:, None].astype(np.float32)
    seconds, columns = peaks(wav_bytes(rise, 8000), 4)
    assert seconds == 2.0 and columns == pytest.approx([12.5, 25, 50, 100], abs=1.1)
    assert peaks(wav_bytes(np.zeros((0, 1), np.float32), 8000)) == (0.0, [])


def test_jaw_and_eyes():
    rest = np.array([[0, 0, 1], [1, 0, 0]], np.float32)
    turn = np.eye(4, dtype=np.float32)[None]
    turn[0, :3, 3] = [1, 2, 3]
    np.testing.assert_array_equal(jaw_points(turn, rest)[0], rest + [1, 2, 3])
    np.testing.assert_array_equal(jaw_points(np.full((1, 2, 3), 0.5), rest)[0], rest + 0.5)
    np.testing.assert_array_equal(eye_turns(np.array([[1, 2, 3, 4]])), [[[1, 2, 0], [3, 4, 0]]])
    lids = np.array([[x, 0, 5] for x in (-3, -2.5, -2, 2, 2.5, 3)] + [[0, -9, 0]], float)
    move = np.where(lids[:, 2:] == 5, [[0, -1.0, 0]], 0)
    right, left = find_eyes(lids, move)
    assert right[0][0] == -2.5 and left[0][0] == 2.5 and right[1] == pytest.approx(0.45) and right[0][2] < 5
    assert find_eyes(lids, np.zeros_like(lids)) is None and find_eyes(None, move) is None


# ---- the live model


def test_live_animation_is_the_models_own(client, place):
    wish = {"shot": 0, "emotion": {"joy": 0.7}, "actor": None}
    track = client.finished(client.json("api/animate", method="POST", body=json.dumps(wish)))
    expected = load_model(place / "model", threads=1).animate(place / "a.wav", emotion={"joy": 0.7})
    assert track["num_frames"] == len(expected) and not track["error"]
    piece = client.piece(track)
    assert set(piece) == {"skin", "tongue", "jaw", "eyes"}
    shown = expected.skin[: track["chunk_frames"]]
    np.testing.assert_allclose(piece["skin"], shown, atol=np.ptp(shown) / 65535 + 2e-4)
    curves = client.json(f"api/curves/{track['id']}")
    assert curves["names"] == list(expected.names)
    np.testing.assert_allclose(np.transpose(curves["weights"]), expected.weights, atol=2e-4)


def test_without_postprocessing_it_is_the_networks_output(client, place):
    package = load_model(place / "model", threads=1)
    plain = package.with_config(**AS_TRAINED)
    assert package.details().config["tongue_strength"] == 1.5 and plain.details().config["tongue_strength"] == 1.0
    body = json.dumps({"shot": 0, "emotion": {}, "postprocess": False})
    track = client.finished(client.json("api/animate", method="POST", body=body))
    expected = plain.animate(place / "a.wav", emotion={}).skin[: track["chunk_frames"]]
    np.testing.assert_allclose(client.piece(track)["skin"], expected, atol=np.ptp(expected) / 65535 + 2e-4)
    assert np.abs(expected - package.animate(place / "a.wav", emotion={}).skin[: len(expected)]).max() > 0.01


def test_another_emotion_gives_another_face_and_old_ones_are_forgotten(client):
    faces, tracks = [], []
    for emotion in ({}, {"anger": 1.0}, {"joy": 1.0}, None):
        body = json.dumps({"shot": 0, "emotion": emotion, "actor": None})
        tracks.append(client.finished(client.json("api/animate", method="POST", body=body)))
        faces.append(client.piece(tracks[-1])["skin"])
    assert np.abs(faces[0] - faces[1]).max() > 1e-3 and np.abs(faces[0] - faces[3]).max() < 1e-3
    assert client.ask(f"api/tracks/{tracks[0]['id']}")[0] == 404
    assert client.ask(f"api/tracks/{tracks[-2]['id']}")[0] == 200


def test_wrong_wishes_are_told(client):
    for wish, word in (
        ({"shot": 99}, "no shot"),
        ({"shot": "0"}, "no shot"),
        ({"shot": 0, "emotion": {"joy": "x"}}, "weight"),
        ({"shot": 0, "emotion": {"jof": 1}}, "did you mean 'joy'"),
        ({"shot": 0, "actor": "nobody"}, "the model knows"),
        ([], "JSON"),
        (None, "JSON"),
    ):
        status, data = client.ask("api/animate", method="POST", body=json.dumps(wish))
        assert status == 422 and word in data.decode(), data


def test_a_sound_of_the_user(client, place):
    data = (place / "a.wav").read_bytes()
    name = "..%2F..%2Fetc%2Fpasswd%00 <b>.wav"
    shot = client.json("api/sounds", method="POST", body=data, X_Name=name)
    assert "/" not in shot["name"] and shot["sound"] and client.json("api/scene")["shots"][-1] == shot
    assert client.ask(f"sound/{shot['id']}.wav")[0] == 200
    assert shot["note"] == "yours"
    head = (
        data[:4] + bytes(4) + data[8 : data.index(b"data") + 4] + bytes(4)
    )  # as a recorder leaves it that cannot go back
    piped = client.json("api/sounds", method="POST", body=head + data[len(head) :], X_Name="piped.wav")
    assert client.ask(f"sound/{piped['id']}.wav") == client.ask(f"sound/{shot['id']}.wav") and piped["note"] == "yours"
    file, wave = io.BytesIO(), np.linspace(-0.5, 0.5, 8000)
    soundfile.write(file, np.stack([wave, -wave], axis=1), 8000, format="WAV", subtype="PCM_U8")
    doubtful = client.json("api/sounds", method="POST", body=file.getvalue(), X_Name="old.wav")
    assert "8000 Hz" in doubtful["note"] and "opposite phase" in doubtful["note"]
    status, reply = client.ask("api/sounds", method="POST", body=b"no sound", X_Name="x.wav")
    assert status == 422 and b"x.wav: expected a sound file" in reply and b"/tmp" not in reply
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "MOST_UPLOAD_BYTES", 1000)
        assert client.ask("api/sounds", method="POST", body=data)[0] == 413


# ---- who may ask


def test_only_the_secret_address_answers(client):
    for secret in ("", "wrong", client.secret[:-1], "api"):
        assert client.ask("api/scene", secret=secret)[0] == 403
    assert client.ask("")[0] == 200 and client.ask("api/scene")[0] == 200
    assert len(client.secret) > 20 and client.server.server_address[0] == "127.0.0.1"


def test_other_hosts_and_other_pages_are_refused(client):
    port = client.server.server_address[1]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
        assert client.ask("api/scene", Host=host)[0] == 403
    assert client.ask("api/scene", Host=f"localhost:{port}")[0] == 200
    wish = json.dumps({"shot": 0})
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}"):
        assert client.ask("api/animate", method="POST", body=wish, Origin=origin)[0] == 403
    assert client.ask("api/animate", method="POST", body=wish, Origin=f"http://127.0.0.1:{port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../server.py",
        "vendor/../../server.py",
        "%2e%2e/server.py",
        "/etc/passwd",
        "vendor/",
        "data/1/../../x",
        "vendor",
    ],
)
def test_no_path_leads_out_of_the_page(client, path):
    assert client.ask(path)[0] == 404


def test_the_page_needs_no_network(client):
    page = client.ask("")[1].decode()
    assert "Content-Security-Policy" in client.headers and client.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("main.js", "style.css", "vendor/three.module.min.js", "vendor/OrbitControls.js"):
        assert client.ask(name)[0] == 200
    assert b"three.js authors" in client.ask("vendor/LICENSE-three.txt")[1]
    scripts = [p.read_text() for p in server_module.PAGE.glob("*.*") if p.suffix in (".js", ".css", ".html")]
    assert "https://" not in "".join([page, *scripts])
    assert all(line.count("http://www.w3.org") for text in scripts for line in text.splitlines() if "http://" in line)


# ---- bounds


def raw(client, data, wait_s=10.0):
    """Everything that a connection answers to some bytes."""
    with socket.create_connection(client.server.server_address[:2], timeout=wait_s) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_no_request_makes_a_traceback(client, caplog):
    head = f"/{client.secret}/api/animate HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode("latin-1")
    requests = [
        b"POST " + head + b"Content-Length: " + length + b"\r\n\r\n{}"
        for length in ("²".encode("latin-1"), b"-1", b"1e3", b"9" * 5000, b"", b"+2", b"99")
    ]
    bodies = [
        b'{"shot":0,"emotion":{"joy":1' + b"0" * 400 + b"}}",
        b'{"shot":1' + b"0" * 5000 + b"}",
        b"[" * 9000,
        b"\xff",
        b"{}",
    ]
    bodies += [b'{"shot":0,"emotion":{"joy":%s}}' % value for value in (b"1e999", b"NaN", b"true", b"[]", b"-11")]
    requests += [b"POST " + head + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    requests += [
        b"GET http://[::1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"\0\n",
        b"GET\n",
        b"",
    ]
    requests += [b"GET /open/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET " + b"/" * 70_000, b"X " + head + b"\r\n"]
    requests += [
        b"GET " + head + b"a: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + head + b"Range: bytes=\xb2-\r\n\r\n",
    ]
    rng = np.random.default_rng(0)
    requests += [bytes(rng.integers(0, 256, 40, np.uint8)) + b"\r\n\r\n" for _ in range(50)]
    for request in requests:
        assert b" 500 " not in raw(client, request)[:40], request
    assert client.ask("api/scene")[0] == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_a_browser_is_started_without_the_secret(client, monkeypatch):
    """Every user of a machine sees the arguments of its processes."""
    address = client.server.ticket_url()
    assert client.secret not in address
    monkeypatch.setattr(server_module, "_user_at", lambda port: os.getuid() + 1)  # another user, who is faster
    assert client.ask(address.split("/", 4)[4], secret="open")[0] == 403
    monkeypatch.undo()
    assert client.ask("x" + address.split("/", 4)[4], secret="open")[0] == 403
    assert client.ask(address.split("/", 4)[4], secret="open")[0] == 303
    assert client.headers["Location"] == f"/{client.secret}/"
    assert client.ask(address.split("/", 4)[4], secret="open")[0] == 403  # once
    monkeypatch.setattr(server_module, "TICKET_S", -1)
    assert client.ask(client.server.ticket_url().split("/", 4)[4], secret="open")[0] == 403  # too late


@pytest.mark.skipif(not server_module.CLIENTS.exists(), reason="the system does not tell whose a connection is")
def test_the_user_of_a_connection_is_known():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as end:
        assert server_module._user_at(end.getsockname()[1]) == os.getuid()


def test_slow_and_many_connections_end(place, monkeypatch):
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 5)
    monkeypatch.setattr(server_module, "ASKING_S", 1.0)
    client = serve(Library("", [Actor("demo")], []))
    held = [socket.create_connection(client.server.server_address[:2], timeout=20) for _ in range(5)]
    assert raw(client, b"") == b""  # one too many: closed at once
    start = time.monotonic()
    while time.monotonic() - start < 15:
        try:
            for connection in held:
                connection.sendall(b"G")  # a byte now and then, as if there were more to come
        except OSError:
            break
        time.sleep(0.1)
    assert 0.5 < time.monotonic() - start < 10
    for connection in held:
        connection.close()
    wait_for(lambda: not client.server._deadlines)
    assert client.ask("api/scene")[0] == 200
    wait_for(lambda: not client.server._deadlines)
    end(client)


def wait_for(condition):
    last = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.02)


def test_sounds_are_bounded_in_number_and_size(place, monkeypatch):
    data = (place / "a.wav").read_bytes()
    client = serve(Library("", [Actor("demo")], []))
    folder = Path(client.server.library._uploads.name)
    with monkeypatch.context() as patch:
        patch.setattr(library_module, "MOST_UPLOADED_BYTES", 2 * len(data) + 10)
        assert [client.ask("api/sounds", method="POST", body=data)[0] for _ in range(3)] == [200, 200, 422]
        assert client.ask("api/sounds", method="POST", body=b"no sound")[0] == 422  # given back
        assert b"too much" not in client.ask("api/sounds", method="POST", body=b"no sound")[1]
    with monkeypatch.context() as patch:
        patch.setattr(library_module, "MOST_SAMPLES", 1000)
        assert b"mono" in client.ask("api/sounds", method="POST", body=data)[1]
    head = f"POST /{client.secret}/api/sounds HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n".encode()
    assert b" 422 " in raw(client, head + data[:500])
    assert len(list(folder.iterdir())) == 2
    end(client)


def test_a_large_sound_is_not_held_in_memory(place):
    """Uploads go to the disk in pieces."""

    class Endless:
        largest = 0

        def read(self, size):
            self.largest = max(self.largest, size)
            return bytes(size)

    library, source = Library("", [Actor("demo")], []), Endless()
    with pytest.raises(UserError, match="expected a sound file"):
        library.upload("x.wav", source, 50_000_000)
    assert source.largest <= 1 << 20
    library.close()
