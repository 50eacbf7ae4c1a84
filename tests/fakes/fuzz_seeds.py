"""Small good files of every format that strangers send, made by code, and files that broke a reader once."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from audio2face.dataset.curve_kinds import guess_blocks
from audio2face.face.channels_file import write_channels
from audio2face.face.codec import Channel, FaceCodec
from audio2face.face.curves import CurveGroup
from audio2face.face.topology import Topology, write_topology
from audio2face.formats.animation_json import JsonAnimation, JsonCurves, write_animation_json
from audio2face.formats.arkit_csv import write_arkit_csv
from audio2face.formats.arkit_names import CURVES
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.bvh import write_bvh
from audio2face.formats.gltf import write_gltf
from audio2face.formats.keyframes import KeyedGroup, Keyframes, write_keyframes
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.formats.npy import read_npz, write_npy, write_npz
from audio2face.formats.point_cache import write_point_cache
from audio2face.formats.scene import MorphMesh
from audio2face.formats.smplx import JOINT_NAMES
from audio2face.inference.scenes import body_figure
from audio2face.runs.emotion_db import EmotionDB, write_emotion_db
from audio2face.runs.manifest import write_manifest
from audio2face.runs.preproc_run import FILES
from audio2face.types import Joint, Skeleton
from fakes import maya_cache as fake_cache
from fakes import model as fake_model
from fakes import run as fake_run
from fakes.body import arm, body_arrays

FRAMES = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 4, 3)
TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
OBJ = b"# a mesh\nv 0 0 0\nv 1 0 0 1 1 1\nv 0 1 0\nv 0 0 1\nvt 0 0\nvn 0 0 1\ng a\nf 1/1/1 2/1/1 3/1/1\nf -1 2//1 3 4\n"
USDA = b"""#usda 1.0
(
    defaultPrim = "a"
    metersPerUnit = 0.01
    upAxis = "Y"
)
def Xform "a" {
    double3 xformOp:translate = (1, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Mesh "m" (prepend apiSchemas = ["SkelBindingAPI"]) {
        point3f[] points = [(0,0,0),(1,0,0),(0,1,0)]
        int[] faceVertexCounts = [3]
        int[] faceVertexIndices = [0,1,2]
        uniform token[] skel:blendShapes = ["b"]
        rel skel:blendShapeTargets = </a/m/b>
        def BlendShape "b" {
            vector3f[] offsets = [(0,0,1)]
            int[] pointIndices = [1]
        }
    }
    def "n" (prepend references = </a/m>) {
    }
}
"""
TEXTGRID = b"""File type = "ooTextFile"
Object class = "TextGrid"
xmin = 0
xmax = 1
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "m"
        intervals [2]:
            xmin = 0.5
            xmax = 1
            text = "a"
"""
CLIPS = b'CLIPS = [\n    ("ada", "a1_neutral", (0, 9), "ada", "english", "a1.wav", 0),  # Shot: [0, 9]\n]\n'
FACE_JSON = {
    "fps": 30, "names": ["jawOpen", "mouthClose"], "frames": [{"time": 0.0, "jawOpen": 0.1, "mouthClose": 0}, {"time": 0.03, "jawOpen": 1, "mouthClose": 0.5}],
}  # fmt: skip


def ply(kind: str) -> bytes:
    """Two triangles in a text or binary file."""
    head = (
        f"ply\nformat {kind} 1.0\ncomment x\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    )
    head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    if kind == "ascii":
        return head.encode() + b"0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n4 0 1 2 3\n"
    end = "<" if "little" in kind else ">"
    faces = struct.pack(end + "B3i", 3, 0, 1, 2) + struct.pack(end + "B4i", 4, 0, 1, 2, 3)
    return head.encode() + FRAMES[0].astype(end + "f4").tobytes() + faces


def written(folder: Path, suffix: str, write: Callable[[Path], object]) -> bytes:
    """What a writer of the package makes."""
    path = folder / f"seed{suffix}"
    write(path)
    return path.read_bytes()


def mesh() -> MorphMesh:
    """A mesh with a shape."""
    return MorphMesh("m", FRAMES[0], TRIANGLES, np.abs(FRAMES[1:]), ("jawOpen",), np.array([[0.0], [1.0]], np.float32))


def sounds(folder: Path, suffix: str, kinds: tuple[tuple[int, int, str], ...]) -> list[bytes]:
    """Sounds of (rate, channels, subtype)."""
    made = []
    for rate, channels, subtype in kinds:
        wave = np.sin(np.arange(400 * channels).reshape(-1, channels) / 9).astype(np.float32) / 2
        made.append(written(folder, suffix, lambda p, w=wave, r=rate, s=subtype: soundfile.write(p, w, r, subtype=s)))
    return made


def skeleton() -> Skeleton:
    """Two joints."""
    turns = ("Zrotation", "Xrotation", "Yrotation")
    places = ("Xposition", "Yposition", "Zposition")
    return Skeleton((Joint("hips", -1, (0, 1, 0), (*places, *turns)), Joint("head", 0, (0, 1, 0), turns, (0, 1, 0))))


def caches(folder: Path, wide: bool) -> tuple[bytes, bytes]:
    """A Maya cache: description and data."""
    (folder / "cache").mkdir(exist_ok=True)
    path = fake_cache.build(folder / "cache", FRAMES, wide, others=[("more", FRAMES.astype(np.float64), b"DVCA")])
    return path.read_bytes(), path.with_suffix(".mcx" if wide else ".mc").read_bytes()


def own_cache(folder: Path) -> tuple[bytes, bytes]:
    """A Maya cache as the package writes it."""
    description, data = write_maya_cache(folder / "own.xml", FRAMES, 30, "face")
    return description.read_bytes(), data.read_bytes()


def live_link(folder: Path) -> bytes:
    """A second of the phone's app."""
    weights = {name: np.linspace(0, 1, 26) for name in CURVES}
    return written(folder, ".csv", lambda p: write_arkit_csv(p, weights, 24, np.zeros((26, 6))))


def many_rows_at_once(folder: Path) -> bytes:
    """A second of the phone's app whose first moment has 200 rows."""
    head, first, *rest = live_link(folder).splitlines(keepends=True)
    return b"".join([head, *[first] * 200, *rest])


def gltf(folder: Path, suffix: str) -> bytes:
    """A mesh with a shape, as the package writes it, or as text."""
    if suffix == ".glb":
        return written(folder, suffix, lambda p: write_gltf(p, [mesh()], 30))
    return json.dumps(gltf_text()).encode()


def last_key(scene: bytes, moment: float) -> bytes:
    """A .glb whose second frame is at another moment, in seconds."""
    return scene.replace(np.float32(1 / 30).tobytes(), np.float32(moment).tobytes())


def gltf_text() -> dict[str, object]:
    """A scene with a sparse accessor and a shape."""
    data = "data:;base64,AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA"
    return {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "a", "translation": [1, 0, 0], "children": [1]}, {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "targets": [{"POSITION": 1}]}], "extras": {"targetNames": ["jawOpen"]}}],
        "accessors": [
            {"componentType": 5126, "type": "VEC3", "count": 3, "bufferView": 0},
            {"componentType": 5126, "type": "VEC3", "count": 3, "sparse": {
                "count": 1, "indices": {"bufferView": 0, "componentType": 5125}, "values": {"bufferView": 0}}},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 36}], "buffers": [{"uri": data, "byteLength": 36}],
    }  # fmt: skip


def arrays(folder: Path) -> bytes:
    """Arrays of several types in an archive."""
    several = {"values": FRAMES, "names": np.array(["a", "bc"]), "n": np.array(3), "mask": np.array([True, False])}
    return written(folder, ".npz", lambda p: write_npz(p, several))


def curve_arrays(folder: Path) -> bytes:
    """A table of named values."""
    several = {"values": FRAMES[:, :2, 0], "names": np.array(["jawOpen", "mouthClose"]), "fps": np.array(30.0)}
    return written(folder, ".npz", lambda p: write_npz(p, several))


def keyframes(folder: Path) -> bytes:
    """Two keyframes of a head, of which one value is not known."""
    head = KeyedGroup(("yaw", "pitch"), np.array([[0.1, 0.2], [np.nan, 0.4]], np.float32))
    return written(
        folder, ".npz", lambda p: write_keyframes(p, Keyframes(1.0, np.array([0, 30]), {"head": head}, 30.0))
    )


def body(folder: Path) -> bytes:
    """An arm with a skin."""
    return written(folder, ".npz", lambda p: write_npz(p, body_arrays()))


def skinned(folder: Path) -> bytes:
    """The same in glTF."""
    figure = body_figure("arm", arm(), np.zeros((1, 12)), body_mesh(body_arrays()))
    return written(folder, ".glb", lambda p: write_gltf(p, [], 30, figures=[figure]))


def smplx(folder: Path) -> bytes:
    """A motion of a body."""
    several = {
        "poses": np.zeros((2, 3 * len(JOINT_NAMES)), np.float32), "trans": np.zeros((2, 3), np.float32),
        "betas": np.zeros(10, np.float32), "mocap_frame_rate": np.array(30.0), "gender": np.array("neutral"),
    }  # fmt: skip
    return written(folder, ".npz", lambda p: write_npz(p, several))


def npys(folder: Path) -> list[bytes]:
    """Arrays in C and Fortran order, of numbers and text."""
    several = (FRAMES, np.asfortranarray(FRAMES.astype(">f8")), np.array(["a", "bc"]), np.array(3), np.zeros((0, 3)))
    made = [written(folder, ".npy", lambda p, a=array: np.save(p, a)) for array in several]
    return [*made, written(folder, ".npy", lambda p: write_npy(p, FRAMES))]


def checkpoint(folder: Path) -> bytes:
    """A training's state."""
    net = torch.nn.Linear(2, 1)
    state = {
        "epoch": 0, "batch": 1, "step": 2, "model": net.state_dict(), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "ema": None, "method": {}, "random": {"x": torch.zeros(3)},
    }  # fmt: skip
    return written(folder, ".pt", lambda p: torch.save(state, p))


def pc2(folder: Path) -> bytes:
    """Two frames."""
    return written(folder, ".pc2", lambda p: write_point_cache(p, FRAMES))


def bvh(folder: Path) -> bytes:
    """Two frames of two joints."""
    return written(folder, ".bvh", lambda p: write_bvh(p, skeleton(), np.linspace(-9, 9, 18).reshape(2, 9), 30))


def model(folder: Path) -> Path:
    """A deployed model."""
    place = folder / "model"
    return place if place.is_dir() else fake_model.regression_model(place)


def diffusion_model(folder: Path) -> Path:
    """A deployed diffusion model."""
    place = folder / "model"
    return place if place.is_dir() else fake_model.diffusion_model(place)


def missing(folder: Path) -> list[bytes]:
    """Frames that a shot lacks, as numbers and as a mask."""
    several = (np.array([1, 2, 5]), np.arange(9) % 2 == 0)
    return [written(folder, ".npy", lambda p, a=array: write_npy(p, a)) for array in several]


def other_sounds(folder: Path) -> list[bytes]:
    """The other formats that libsndfile reads."""
    wave = np.sin(np.arange(4000) / 9).astype(np.float32) / 2
    return [written(folder, suffix, lambda p: soundfile.write(p, wave, 16000)) for suffix in (".ogg", ".mp3", ".aiff")]


def films(folder: Path) -> list[bytes]:
    """A second of pictures with sound, in two containers."""
    import av

    made = []
    for suffix, codec in ((".mp4", "aac"), (".mkv", "pcm_s16le")):
        path = folder / f"film{suffix}"
        with av.open(str(path), "w") as container:
            pictures, sound = container.add_stream("mpeg4", rate=10), container.add_stream(codec, rate=16000)
            pictures.width = pictures.height = 16
            sound.layout = "mono"
            for _ in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                container.mux(pictures.encode(picture))
            samples = (9000 * np.sin(np.arange(8000) / 9)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate = 16000
            container.mux(sound.encode(frame))
            container.mux([*pictures.encode(None), *sound.encode(None)])
        made.append(path.read_bytes())
    return made


def usdc(folder: Path) -> bytes:
    """The scene of USDA in binary."""
    from pxr import Sdf

    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(USDA.decode())
    return written(folder, ".usdc", lambda p: layer.Export(str(p)))


def rig(folder: Path) -> bytes:
    """Blendshapes as a deployed model keeps them."""
    shapes = {"neutral": FRAMES[0], "jawOpen": FRAMES[1], "triangles": TRIANGLES}
    return written(
        folder, ".npz", lambda p: write_npz(p, {"poseNames": np.array(["neutral", "jawOpen"], "S"), **shapes})
    )


def flame(folder: Path) -> bytes:
    """A head of four vertices."""
    several = {
        "v_template": FRAMES[0], "shapedirs": np.ones((4, 3, 310), np.float32), "posedirs": np.ones((4, 3, 36), np.float32),
        "J_regressor": np.ones((5, 4), np.float32), "weights": np.ones((4, 5), np.float32), "f": TRIANGLES,
    }  # fmt: skip
    return written(folder, ".npz", lambda p: write_npz(p, several))


def flame_clip(folder: Path) -> bytes:
    """Its parameters in two frames."""
    several = {
        "expression": np.ones((2, 10)),
        "jaw_pose": np.ones((2, 3)),
        "eyes": np.ones((2, 6)),
        "shape": np.ones(5),
    }
    return written(folder, ".npz", lambda p: write_npz(p, several))


def template(folder: Path) -> bytes:
    """Faces at rest of two people."""
    return written(folder, ".npz", lambda p: write_npz(p, {"ada": FRAMES[0], "bob": FRAMES[1]}))


def curve_group() -> CurveGroup:
    """Columns of curves and of the head."""
    return CurveGroup("arkit", guess_blocks(("jawOpen", "mouthClose")))


def long_table(folder: Path) -> bytes:
    """A second of a table with times."""
    rows = [f"{t / 30},{t / 30:.3f},0.5,0.01" for t in range(31)]
    return "\n".join(["time,jawOpen,mouthClose,eyeBlinkLeft", *rows, ""]).encode()


def animation_json(folder: Path) -> bytes:
    """An animation as inference writes it."""
    curves = JsonCurves({"name": "arkit", "kind": "weights"}, ("jawOpen",), np.ones((2, 1)))
    eyes = np.zeros((2, 4))
    made = JsonAnimation(30.0, np.ones((2, 5, 3)), eyes, {"smile": np.ones(2)}, (curves,))
    return written(folder, ".json", lambda p: write_animation_json(p, made))


def topology(folder: Path) -> bytes:
    """Faces of a skin, and a body."""
    body = body_mesh(body_arrays())
    return written(folder, ".npz", lambda p: write_topology(p, Topology(TRIANGLES, None, 100.0, body)))


def emotions(folder: Path) -> bytes:
    """Implicit emotions of two shots."""
    database = EmotionDB(np.ones((12, 2), np.float32), {"calm": (0, 5), "angry": (5, 7)}, {"angry": 3})
    return written(folder, ".npz", lambda p: write_emotion_db(p, database))


def channels(folder: Path) -> bytes:
    """A group of curves."""
    group = curve_group()
    own = Channel("arkit", "curves", group.size, np.ones(group.size), np.zeros(group.size), group=group)
    write_channels(folder, FaceCodec((own,)))
    return (folder / "channels.json").read_bytes()


def manifest(folder: Path) -> bytes:
    """What a folder with a part consists of."""
    place = folder / "run"
    (place / "part").mkdir(parents=True)
    for path in (place / "a.txt", place / "part/b.txt"):
        path.write_bytes(b"a")
    write_manifest(place / "part")
    write_manifest(place)
    return (place / "manifest.json").read_bytes()


def network_spec() -> bytes:
    """What network a training holds."""
    return json.dumps(vars(fake_run.make_spec())).encode()


def data_info(folder: Path) -> list[bytes]:
    """What the arrays of an actor are."""
    return [json.dumps(fake_run.make_preproc(folder / "actor", "ada").data_info).encode()]


def beside_data_info(folder: Path) -> dict[str, bytes]:
    """The rest of a training's actor, and its network."""
    with tempfile.TemporaryDirectory() as place:
        run = fake_run.make_train_run(Path(place))
        actor = run.path / "actors/ada"
        files = {path.name: path.read_bytes() for path in actor.iterdir() if path.is_file()}
    del files["data_info.json"]
    return {**files, "../../network_info_full.json": network_spec()}


def beside_actor_info(folder: Path) -> dict[str, bytes]:
    """The rest of a preprocessing run; arrays are read later."""
    files = {f"../{place}": b"" for place in FILES.values()}
    (info,) = data_info(folder)
    shots = b'[["ada", "a1_neutral", 9, 30.0, "neutral"]]'
    return files | {f"../{FILES['data_info']}": info, f"../{FILES['shots']}": shots}


def weights(folder: Path) -> bytes:
    """Tensors by name."""
    return written(folder, ".pth", lambda p: torch.save(torch.nn.Linear(2, 1).state_dict(), p))


def changed_arrays(content: bytes, folder: Path, **arrays: np.ndarray | None) -> bytes:
    """An archive with some arrays replaced, or left out (None)."""
    (folder / "before.npz").write_bytes(content)
    several = {**read_npz(folder / "before.npz"), **arrays}
    return written(folder, ".npz", lambda p: write_npz(p, {k: a for k, a in several.items() if a is not None}))


def many_field_sets(folder: Path) -> bytes:
    """A binary scene that claims 900 million rows of a table."""
    data = bytearray(usdc(folder))
    (sections,) = struct.unpack_from("<Q", data, 16)
    at = data.index(b"FIELDSETS", sections)
    (start,) = struct.unpack_from("<q", data, at + 16)
    data[start + 3] = 51
    return bytes(data)


def odd_language(folder: Path) -> bytes:
    """A film one of whose tags is no text."""
    film = films(folder)[1]
    at = film.index(b"ENCODER") - 1
    return film[: at + 1] + b"\xbf" + film[at + 2 :]


# Files that broke a reader once: {kind of file: those that are refused now}
BROKEN: dict[str, list[Callable[[Path], bytes]]] = {
    "ply": [
        lambda f: ply("ascii").replace(b"4 0 1 2 3", b"4 0 %d 2 3" % 10**50),
        lambda f: (
            ply("binary_little_endian").replace(b"uchar int", b"char int").replace(b"\x03\0\0\0\0", b"\xff\0\0\0\0", 1)
        ),
    ],
    "usdc": [many_field_sets],
    "phonemes json": [lambda f: b'[["m", %d, 1]]' % 10**400, lambda f: b'[["m", 0, 1e999]]'],
    "animation json": [
        lambda f: animation_json(f).replace(b'"fps"', b'"x"'),
        lambda f: animation_json(f).replace(b"30.0", b"[]"),
    ],
    "clips": [
        lambda f: b"CLIPS = [" + b"(" * 300 + b"]",
        lambda f: b"CLIPS = [open('x')]",
        lambda f: b"CLIPS = [(1, 2)]",
        lambda f: b"CLIPS = ['\xff']",
    ],
    "manifest": [lambda f: b'{"version": 1, "parts": ["%s"], "files": {}}' % (b"a" * 300)],
    "data_info.json": [lambda f: b"{}", lambda f: b'{"num_verts_skin": "", "num_verts_tongue": 5}', lambda f: b"[]"],
    "implicit_emo_db.npz": [
        lambda f: changed_arrays(
            (model(f) / "implicit_emo_db.npz").read_bytes(), f, emo_spec_names=np.array([b"lost", b"angry_1"])
        ),
        lambda f: changed_arrays(
            (model(f) / "implicit_emo_db.npz").read_bytes(), f, emo_spec_size=np.array([1, 1], np.int32)
        ),
    ],
    "emotions npz": [
        lambda f: changed_arrays(emotions(f), f, emo_spec_names=np.array([1 << 40, 2])),
        lambda f: changed_arrays(emotions(f), f, emo_spec_names=np.array([b"\xff", b"a"])),
        lambda f: changed_arrays(emotions(f), f, emo_spec_start=np.array(["a", "b"])),
    ],
    "rig npz": [
        lambda f: changed_arrays(rig(f), f, poseNames=np.array(["neutral", *["jawOpen"] * 100_000])),
        lambda f: changed_arrays(rig(f), f, neutral=np.array(["a"])),
        lambda f: changed_arrays(rig(f), f, triangles=np.array([[0, 1, 9]])),
    ],
    "template npz": [lambda f: changed_arrays(template(f), f, ada=np.array([["a", "b", "c"]]))],
    "flame": [
        lambda f: changed_arrays(flame(f), f, posedirs=np.ones((4, 5))),
        lambda f: changed_arrays(flame(f), f, weights=np.array("text")),
        lambda f: changed_arrays(flame(f), f, v_template=np.array(1.0)),
        lambda f: changed_arrays(flame(f), f, f=np.array([[0, 1, 4]])),
    ],
    "flame clip": [
        lambda f: changed_arrays(flame_clip(f), f, shape=np.ones((0, 5))),
        lambda f: changed_arrays(flame_clip(f), f, jaw_pose=np.array(["a", "b"])),
        lambda f: changed_arrays(flame_clip(f), f, expression=np.array(1)),
    ],
    "channels json": [
        lambda f: channels(f).replace(b'"size": 2', b'"size": 1e999'),
        lambda f: channels(f).replace(b"[1.0", b"[%d" % 10**400),
    ],
    "edited glb": [lambda f, at=at: last_key(gltf(f, ".glb"), at) for at in (1e6, 1e30, np.nan)],
    "recording": [many_rows_at_once],
    "viewed bvh": [lambda f: bvh(f).replace(b"OFFSET 0.0", b"OFFSET 1e39")],
    "viewed csv": [lambda f: b"frame,jawOpen,mouthClose\n"],
    "solved json": [lambda f: (model(f) / "bs_skin_config.json").read_bytes().replace(b"53.5", b"%d" % 10**400)],
    "film": [odd_language],
}
