"""Asks the viewer's server what its page asks, for tests."""

import http.client
import io
import json
import struct
import threading
import time

import numpy as np
import soundfile

from audio2face.viewer.server import ViewServer


def unpack(data, sizes, count):
    """{channel: frames (n, points, 3)} of a piece, as the page reads it."""
    found, at = {}, 0
    for name, points in sizes.items():
        low, step = np.array(struct.unpack_from("<6f", data, at)).reshape(2, 3)
        values = np.frombuffer(data, "<u2", count * points * 3, at + 24).reshape(3, count, points)
        found[name], at = low + step * np.moveaxis(values, 0, 2), at + 24 + -(-values.nbytes // 4) * 4
    assert at == len(data)
    return found


class Client:
    """Requests to a server, with the headers of a browser."""

    def __init__(self, server):
        self.server, self.secret = server, server.secret

    def ask(self, path, method="GET", body=None, secret=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/{self.secret if secret is None else secret}/{path}", body, names)
        answer = connection.getresponse()
        self.headers, data = answer.headers, answer.read()
        connection.close()
        return answer.status, data

    def json(self, path, **more):
        status, data = self.ask(path, **more)
        assert status == 200, data
        return json.loads(data)

    def piece(self, track, index=0):
        status, data = self.ask(f"data/{track['id']}/{index}")
        assert status == 200, data
        return unpack(data, {c["name"]: c["points"] for c in track["channels"]}, int(self.headers["X-Frames"]))

    def finished(self, track):
        end = time.monotonic() + 30
        while not track["finished"]:
            assert time.monotonic() < end
            time.sleep(0.02)
            track = self.json(f"api/tracks/{track['id']}")
        return track


def uploaded(client, samples, rate, name):
    """The number of the shot that a sound of the user's becomes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return client.json("api/sounds", method="POST", body=file.getvalue(), X_Name=name)["id"]


def post(client, **wish):
    """The status of a wish, and the answer."""
    status, body = client.ask("api/make", "POST", json.dumps(wish).encode())
    return status, json.loads(body)


def made(client, **wish):
    """What the studio has of a wish when it is ready, and what the page is told."""
    status, answer = post(client, **wish)
    assert status == 200, answer
    client.server.library.studio.wait(60)
    found = client.json(f"api/made/{answer['request']}")
    assert found["state"] == "ready", found
    return client.server.library.studio.request(answer["request"]), found


def serve(library):
    server = ViewServer(library)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return Client(server)


def end(client):
    client.server.shutdown()
    client.server.server_close()
    client.server.library.close()
