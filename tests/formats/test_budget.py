"""What strangers' files claim: a small file costs little memory and time, and the message names it."""

import ast
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from audio2face.confined import INSIDE
from audio2face.formats import budget
from audio2face.formats.gltf_rig import read_gltf_rig
from audio2face.formats.ply import read_ply
from audio2face.formats.point_cache import HEADER, MAGIC
from audio2face.formats.sound import read_sound, sound_info
from audio2face.formats.usd import read_usd_rig, read_usd_triangles
from audio2face.paths import FRAMEWORK_ROOT

HUGE = 10**400
CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from importlib import import_module
from pathlib import Path
module, name, *paths = sys.argv[1:]
read = getattr(import_module(f"audio2face.formats.{module}"), name)
for path in paths:
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        read(Path(path))
        print(path, "was read")
    except ValueError as error:
        after = resource.getrusage(resource.RUSAGE_SELF)
        used, took = (after.ru_maxrss - before.ru_maxrss) >> 10, after.ru_utime - before.ru_utime
        print("ok" if path in str(error) and used < 200 and took < 2 else f"{path}: {used} MB, {took} s: {error}")
"""


def ply(faces, kind="binary_little_endian", index="list char int", vertices=3, body=b""):
    head = f"ply\nformat {kind} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\nproperty float z\n"
    return f"{head}element face {faces}\nproperty {index} vertex_indices\nend_header\n".encode() + body


def gltf(accessor, view=None, **more):
    """A scene of one triangle, with this position accessor."""
    data = "data:;base64,AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA"
    root = {
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"componentType": 5126, "type": "VEC3", "count": 3} | accessor],
        "bufferViews": [{"buffer": 0, "byteLength": 36} | (view or {})],
        "buffers": [{"uri": data, "byteLength": 36}],
    }
    return json.dumps(root | more).encode()


def wav(rate, channels=1, frames=1000):
    data = bytes(2 * channels * frames)
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + \
        struct.pack("<I", len(data)) + data  # fmt: skip


TRIANGLE = ply(1, body=np.arange(9, dtype="<f4").tobytes() + b"\3" + np.arange(3, dtype="<i4").tobytes())
POINTS = np.zeros(9, "<f4").tobytes()
ATTACKS = {
    ("ply", "read_ply", ".ply"): [
        ply(10**9, body=POINTS + b"\xff"),  # -1 corners: the place in the file went back as far as it had gone forward
        ply(10**9, body=POINTS + b"\0" * 8),
        ply(1, body=POINTS + b"\x7f"),
        ply(HUGE, body=POINTS),
        ply(3, vertices=10**12, body=POINTS),
        ply(-1, body=POINTS),
        ply(10**9, "ascii", body=b"0 0 0\n0 0 0\n0 0 0\n-1\n"),
        ply(1, "ascii", body=b"0 0 0\n0 0 0\n0 0 0\n-1 0 1 2\n"),
        ply(1, "ascii", body=b"0 0 0\n0 0 0\n0 0 0\n4 0 1 2\n"),
        b"plyend_header",
        ply(0, "ascii", body=b"0 0 nan\n0 0 0\n0 0 0\n"),
    ],
    ("gltf_rig", "read_gltf_rig", ".gltf"): [
        gltf({"count": 10**8}),
        gltf({"count": HUGE}),
        gltf({"count": -1, "bufferView": 0}),
        gltf({"count": 3.0, "bufferView": 0}),
        gltf({"count": True, "bufferView": 0}),
        gltf({"count": 10**8, "bufferView": 0}, {"byteStride": 0}),
        gltf({"bufferView": 0}, {"byteStride": -12}),
        gltf({"bufferView": 0, "byteOffset": 40}, {"byteOffset": -40}),
        gltf({"bufferView": 0}, nodes=[{"mesh": 0, "translation": [float("nan"), 0, 0]}]),
        gltf({"count": 10**6}, nodes=[{"mesh": 0}] * 1000),
        gltf({"count": 10**6}, meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "targets": [{}] * 1000}]}]),
        gltf({"bufferView": 0}, buffers=[{"uri": "../secret.bin"}]),
        gltf({"bufferView": 0}, buffers=[{"uri": "/etc/passwd"}]),
        b"[" * 10**6,
        b"9" * 10**5,
    ],
    ("sound", "read_sound", ".wav"): [
        wav(1), wav(999), wav(16_000_001), wav(1_000_003), wav(2**31 - 1), wav(191_999 + 2), wav(16000, 300),
    ],
    ("npy", "read_npy", ".npy"): [
        b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + bytes(96)
        for head in (b"{'descr': '<f8', 'fortran_order': False, 'shape': (True, 12), }\n",
                     b"{'descr': '<f8', 'fortran_order': False, 'shape': (1e1, 12), }\n",
                     b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"9" * 400 + b",), }\n")
    ],
    ("obj", "read_obj", ".obj"): [b"v 0 0 nan\n", b"v 0 1e400 0\n", b"v 0 1e39 0\n", b"v 0 0 0\nf 1 1 " + b"9" * 5000],
    ("point_cache", "read_point_cache", ".pc2"): [
        HEADER.pack(MAGIC, 1, 2**31 - 1, 0, 1, 2**31 - 1), HEADER.pack(MAGIC, 1, 10, 0, 1, -1),
    ],
    ("arkit_csv", "read_arkit_csv", ".csv"): [
        b"Timecode,BlendShapeCount,JawOpen\n00:00:00:00,1," + b"0" * 200_000 + b"\n",
        b"Timecode,BlendShapeCount,JawOpen\n"  # three days
        + b"".join(b"%02d:00:0%d:%02d,1,0\n" % (h, s, f) for h in (0, 12, 23, 0, 12, 23, 0, 12, 23)
                   for s in (0, 1, 2) for f in range(0, 60, 1)),
    ],
    ("json_file", "read_json", ".json"): [b"[" * 10**6, b'{"a":' * 10**5, b"9" * 10**5, b"\xff\xfe1\0"],
    ("phoneme_times", "read_phoneme_times", ".TextGrid"): [
        b'class = "IntervalTier" name = "phones" xmin = ... xmax = 1 text = "a"', b"\xff",
    ],
    ("bvh", "read_bvh", ".bvh"): [
        b"HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation } MOTION Frames: " + count + b" Frame Time: 1\n" + rows
        for count, rows in ((b"9" * 11, b"0\n"), (b"9" * 5000, b"0\n"), (b"100000", b"0"), (b"1", b"0 " * 10**6),
                            (b"1", b"\n" * 10**6), (b"1", b"9" * 10**6))
    ] + [
        b"HIERARCHY ROOT " + b"a { JOINT " * 10**6,
        b"HIERARCHY ROOT r {" + b"".join(b"JOINT %d { }" % n for n in range(200_000)),
        b"HIERARCHY ROOT " + b"a " * 10**6,
        b"HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS " + b"9" * 5000,
        b"HIERARCHY ROOT a { OFFSET 0 0 1e999",
    ],
    ("maya_cache", "read_maya_cache", ".xml"): [
        b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 1000 + b'">]><Autodesk_Cache_File/>',
        b'<Autodesk_Cache_File><cacheType Type="OneFile" Format="mcc"/><time Range="0-' + b"9" * 5000 + b'"/>'
        b'<cacheTimePerFrame TimePerFrame="250"/></Autodesk_Cache_File>',
        b'<Autodesk_Cache_File><cacheType Type="OneFile" Format="mcc"/><time Range="0-1"/>'
        b'<cacheTimePerFrame TimePerFrame="' + b"9" * 400 + b'"/></Autodesk_Cache_File>',
    ],
    ("curve_table", "read_curve_table", ".csv"): [
        b",".join(b"a%d" % i for i in range(30_000)) + b"\n" * 50_000 + b"0" + b",0" * 29_999 + b"\n",
        b"a,b\n" + b"\n" * 4_000_000 + b"1,2\n",
        b"frame,a\n0,1\n" + b"9" * 15 + b",1\n",
        b"frame,a\n0,1\n1e300,1\n",
        b"a\n" + b"0" * 200_000,
        b"a,b\n" + b"9" * 5000 + b",1\n",
    ],
    ("curve_table", "read_curve_table", ".txt"): [
        b"a-1|b-1\n" + b"".join(b"c%d-1|d-1\n" % i for i in range(30_000)),
        b"a-1|b-1\n" + b"\n" * 4_000_000 + b"a-1|b-1",
        b"a-1|b-1\n" + b"c" * 10**6,
        b"a-1|" * 30_000,
        b"a-" + b"9" * 5000 + b"|b-1",
    ],
    ("curve_table", "read_curve_table", ".json"): [
        b"[" * 10**6,
        json.dumps([{f"a{i}": 1} for i in range(30_000)]).encode(),
        json.dumps({"names": ["a"], "frames": [[HUGE]]}).encode(),
        b'{"frames": ' + b'[{"a":' * 300 + b"1" + b"}]" * 300 + b"}",
    ],
    ("curve_table", "read_curve_table", ".npz"): [b"PK\3\4" + bytes(100)],
}  # fmt: skip


def refused(module, name, files):
    """Read the files in a process of its own, which must refuse each by name, within 2 s and 200 MB."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, module, name, *map(str, files)],
        cwd=FRAMEWORK_ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert child.stdout.split("\n") == ["ok"] * len(files) + [""], child.stdout + child.stderr


@pytest.mark.parametrize(("module", "name", "suffix"), ATTACKS)
def test_files_that_claim_what_they_do_not_hold(tmp_path, module, name, suffix):
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(36))
    files = []
    for number, content in enumerate(ATTACKS[module, name, suffix]):
        files.append(tmp_path / "folder" / f"{number}{suffix}")
        files[-1].write_bytes(content)
    refused(module, name, files)


def test_compressed_sound_that_becomes_hours(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros((1 << 16, 1), np.float32), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    (packed,) = struct.unpack(">Q", content[18:26])
    content[18:26] = struct.pack(">Q", packed | (1 << 36) - 1)  # samples
    (tmp_path / "lie.flac").write_bytes(content)
    refused("sound", "read_sound", [tmp_path / "lie.flac"])
    refused("sound", "sound_info", [tmp_path / "lie.flac"])
    assert len(read_sound(tmp_path / "a.flac")[0]) == 1 << 16


def test_sound_without_a_length_is_counted_only_so_far(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.flac", np.zeros((1 << 18, 1), np.float32), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    (packed,) = struct.unpack(">Q", content[18:26])
    content[18:26] = struct.pack(">Q", packed >> 36 << 36)
    (tmp_path / "a.flac").write_bytes(content)
    assert sound_info(tmp_path / "a.flac").num_samples == 1 << 18
    monkeypatch.setattr(budget, "FREE_BYTES", 1 << 18)
    monkeypatch.setattr(budget, "MOST_PACKED", 1)
    monkeypatch.setenv(INSIDE, "1")  # where these limits are
    with pytest.raises(ValueError, match=r"a.flac: \d+ bytes would unpack to .* of samples"):
        sound_info(tmp_path / "a.flac")


MESH = """def Mesh "m" {
    point3f[] points = [(0,0,0),(1,0,0),(0,1,0)]
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0,1,2]
}
"""


def usda(body, head=""):
    return f"#usda 1.0\n({head}\n)\n{body}"


def tens(depth, arc):
    """Ten prims that each are ten of the level below, and so on."""
    levels = [f'def Xform "L0" {{\n{MESH}}}\n']
    for level in range(1, depth):
        ten = "".join(f'def "c{i}" ({arc} = </L{level - 1}>) {{\n}}\n' for i in range(10))
        levels.append(f'def Xform "L{level}" {{\n{ten}}}\n')
    return usda("".join(levels))


USD_ATTACKS = {
    "references": usda('def "a" (prepend references = @../secret.usda@) {\n}\n'),
    "payload": usda('def "a" (payload = @../secret.usda@</s>) {\n}\n'),
    "sublayer": usda("", "subLayers = [@../secret.usda@]"),
    "sublayer of a sublayer": usda("", "subLayers = [@./between.usda@]"),
    "variant": usda(
        'def "a" (variants = {\nstring v = "x"\n}\nprepend variantSets = "v") {\nvariantSet "v" = {\n'
        '"x" (references = @../secret.usda@) {\n}\n}\n}\n'
    ),  # fmt: skip
    "references nested": tens(9, "references"),
    "inherits nested": tens(9, "inherits"),
    "corner -1": usda(MESH.replace("[0,1,2]", "[0,1,-1]")),
    "corner 99": usda(MESH.replace("[0,1,2]", "[0,1,99]")),
    "counts": usda(MESH.replace("[3]", "[3,3]")),
    "negative counts": usda(MESH.replace("[3]", "[-3,6]")),
    "nan": usda(MESH.replace("(1,0,0)", "(nan,0,0)")),
    "no metres": usda(MESH, "metersPerUnit = 0"),
    "points as text": usda(MESH.replace("point3f[] points = [(0,0,0),(1,0,0),(0,1,0)]", 'string points = "x"')),
    "corners as text": usda(MESH.replace("int[] faceVertexIndices = [0,1,2]", 'string faceVertexIndices = "x"')),
    "corners as a number": usda(MESH.replace("int[] faceVertexIndices = [0,1,2]", "int faceVertexIndices = 3")),
    "shapes as text": usda(
        MESH.replace("{", '(prepend apiSchemas = ["SkelBindingAPI"]) {\nuniform string skel:blendShapes = "b"', 1)
    ),
    "no such turn": usda(MESH.replace("{", '{\nuniform token[] xformOpOrder = ["xformOp:0x10"]', 1)),
    "deep": usda('def "a" {\n' * 100_000 + MESH + "}\n" * 100_000),
}


@pytest.fixture
def usd_folder(tmp_path):
    pytest.importorskip("pxr")
    (tmp_path / "secret.usda").write_text(usda(f'def Xform "s" {{\n{MESH}}}\n', 'defaultPrim = "s"'))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "between.usda").write_text(usda("", "subLayers = [@../secret.usda@]"))
    (folder / "part.usda").write_text(usda(f'def Xform "s" {{\n{MESH}}}\n', 'defaultPrim = "s"'))
    return folder


def test_usd_opens_nothing_outside_its_folder_and_makes_no_scene_without_end(usd_folder):
    files = []
    for name, text in USD_ATTACKS.items():
        files.append(usd_folder / f"{name.replace(' ', '_')}.usda")
        files[-1].write_text(text)
    refused("usd", "read_usd_rig", files)


def test_usd_in_parts_is_read(usd_folder):
    text = usda('def "a" (references = @./part.usda@) {\n}\ndef "b" (payload = @part.usda@</s>) {\n}\n'
                'def "c" (references = </b>) {\n}\ndef "d" (references = @./gone.usda@) {\n}\n')  # fmt: skip
    (usd_folder / "whole.usda").write_text(text)
    assert [mesh.rest.shape for mesh in read_usd_rig(usd_folder / "whole.usda")] == [(3, 3)] * 3
    assert read_usd_triangles(usd_folder / "part.usda").tolist() == [[0, 1, 2]]


def test_blendshapes_that_move_other_points(usd_folder):
    file = usd_folder / "shape.usda"
    for index in (-9, -1, 3):
        shape = f'def BlendShape "b" {{\nvector3f[] offsets = [(0,0,1)]\nint[] pointIndices = [{index}]\n}}\n'
        api = '(prepend apiSchemas = ["SkelBindingAPI"])'
        bound = MESH.replace("{", f"{api} {{\nuniform token[] skel:blendShapes = [\"b\"]\n"
                             f"rel skel:blendShapeTargets = </m/b>\n{shape}", 1)  # fmt: skip
        file.write_text(usda(bound))
        with pytest.raises(ValueError, match="shape.usda: blend shape /m/b does not belong to /m"):
            read_usd_rig(file)


@pytest.mark.parametrize("sizes", [[3, 3], [4, 3], [3, 4], [0, 3], [4, 4]])
def test_faces_of_a_ply_have_any_number_of_corners(tmp_path, sizes):
    body = np.arange(12, dtype="<f4").tobytes()
    body += b"".join(bytes([n]) + np.arange(n, dtype="<i4").tobytes() for n in sizes)
    (tmp_path / "a.ply").write_bytes(ply(len(sizes), vertices=4, body=body))
    fans = {0: [], 3: [[0, 1, 2]], 4: [[0, 1, 2], [0, 2, 3]]}
    assert read_ply(tmp_path / "a.ply")[1].tolist() == [face for n in sizes for face in fans[n]]


def test_a_good_file_passes(tmp_path):
    (tmp_path / "a.ply").write_bytes(TRIANGLE)
    assert read_ply(tmp_path / "a.ply")[1].tolist() == [[0, 1, 2]]
    (tmp_path / "a.gltf").write_bytes(gltf({"bufferView": 0}))
    assert read_gltf_rig(tmp_path / "a.gltf")[0].triangles.tolist() == [[0, 1, 2]]
    for rate in (8000, 11025, 44100, 47952, 96000, 192000, 352800, 768000):
        (tmp_path / "a.wav").write_bytes(wav(rate))
        assert read_sound(tmp_path / "a.wav")[1] == sound_info(tmp_path / "a.wav").sample_rate == rate


def test_messages_name_what_to_do(tmp_path):
    for check, words in (
        (
            lambda: budget.check_rate("a.wav", 10**9),
            "a.wav: a sample rate of 1000000000 Hz: .*export the sound at 48000",
        ),
        (
            lambda: budget.check_fits("a", "faces", 9, 4, 20),
            "a: faces: expected 9 of 4 bytes, the file has 20 left; copy",
        ),
        (lambda: budget.check_fits("a", "faces", HUGE, 4, 20), "more than 38 digits"),
        (lambda: budget.check_unpacked("a", "numbers", 2**40, 100), "a: 100 bytes would unpack to .*; export"),
        (lambda: budget.inside(tmp_path / "a", "../b", "buffer"), "buffer '../b' lies outside the file's folder; copy"),
    ):
        with pytest.raises(ValueError, match=words):
            check()


# Calls that take numbers or references from a file, and the modules that make them without asking `formats.budget`: why
# they may. The list only shrinks.
RAW = {
    "json.loads", "json.load", "np.load", "np.fromfile", "np.frombuffer", "np.memmap", "np.ndarray", "struct.unpack",
    "struct.unpack_from", "unpack", "unpack_from", "ElementTree.fromstring", "ElementTree.parse", "csv.reader",
    "csv.DictReader", "zipfile.ZipFile", "Stage.Open", "Layer.FindOrOpen", "soundfile.SoundFile", "soundfile.read",
    "Image.open", "cv2.imread",
}  # fmt: skip
UNASKED = {
    "confined": "answers of a process of its own, whose arrays are compared with its limit",
    "deploy.check.npz_walk": "compares each array with the archive and the archive with the file, as the runtime does",
    "deploy.check.strict_json": "has limits of its own, those of the runtime",
    "deploy.files": "looks at the list of an archive only",
    "formats.maya_chunks": "each chunk is compared with the group and the file that hold it",
    "formats.point_cache": "the header is compared with the file's length, exactly",
    "models.common.encoders.phoneme_ctc": "a file of the package itself",
    "models.common.feature_store": "rows that it wrote itself, of files whose sizes it compares",
    "models.common.phonemes": "a file of the package itself",
    "preproc.basis": "a file that it makes itself",
    "render.head": "a file of the package itself",
    "runs.changes": "text that it wrote a line before",
    "serving.authoring": "all samples of a request whose size is limited",
    "serving.live.source": "a piece of sound whose size is limited",
    "serving.live.speaker": "pieces of sound that the player made itself",
    "serving.live.websocket": "a message whose size is limited",
    "serving.stream": "samples that the stream itself holds",
    "training.resume": "text that it wrote a line before",
    "training.validation": "the run's own metrics, a line at a time",
    "viewer.library": "a sound that it made itself",
    "viewer.tracks": "frames of a file that it wrote itself",
}


def calls(path):
    """Names of what a module calls, as `json.loads` and as `loads`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            parts = ast.unparse(node.func).split(".")
            yield from (parts[-1], ".".join(parts[-2:]))


def test_every_parser_asks_the_budget():
    package = FRAMEWORK_ROOT / "audio2face"
    parsers = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in package.rglob("*.py")
        if RAW & set(calls(path))
    }
    unasked = {name for name, path in parsers.items() if "audio2face.formats.budget import" not in path.read_text()}
    assert unasked == set(UNASKED) | {"formats.budget"}, (
        "compare the file's numbers by formats.budget, or state why not"
    )
    assert {"formats.ply", "formats.gltf_rig", "formats.usd_stage", "formats.sound", "formats.npy"} <= set(parsers) - unasked


@pytest.mark.parametrize("name", ["a" * 5000 + ".bin", "a\0b"])
def test_a_name_that_no_file_has_is_told(tmp_path, name):
    with pytest.raises(ValueError, match="is no name of a file"):
        budget.inside(tmp_path / "a.gltf", name, "buffer")
