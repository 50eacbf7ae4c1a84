"""Clips of FLAME heads become data sets: vertices as VOCASET has them, meshes, and parameters with a basis."""

import struct

import numpy as np
import pytest
from fakes.rig import FakeRig, curves

from audio2face.config import load_config
from audio2face.doctor.quick import quick_check
from audio2face.formats.ply import read_ply
from audio2face.formats.sound import write_sound
from audio2face.importing import flame
from tools import import_flame


@pytest.fixture
def place(tmp_path, monkeypatch):
    for key in ("DATASETS", "WORKSPACE", "CONFIGS"):
        monkeypatch.setenv(f"A2F_{key}_ROOT", str(tmp_path / key.lower()))
    return tmp_path


def basis(seed=0, count=60):
    """Arrays of a FLAME-like model with random directions, in metres."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(count, 5)) ** 4
    regressor = rng.uniform(size=(5, count)) ** 8
    return {
        "v_template": rng.uniform(-0.12, 0.12, (count, 3)),
        "shapedirs": rng.normal(0, 0.01, (count, 3, 310)),
        "posedirs": rng.normal(0, 0.001, (count, 3, 36)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "f": rng.integers(0, count, (20, 3)),
    }


def posed(model, shape, expression, pose):
    """FLAME's own formula with a chain of 4 x 4 matrices: pose (15,) of global, neck, jaw, eyes."""
    betas = np.zeros(310)
    betas[: len(shape)], betas[300 : 300 + len(expression)] = shape, expression
    shaped = model["v_template"] + model["shapedirs"] @ betas
    joints = model["J_regressor"] @ (model["v_template"] + model["shapedirs"][:, :, :300] @ betas[:300])
    turns = flame.rotations(pose.reshape(5, 3))
    shaped = shaped + model["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
    world = []
    for joint, parent in enumerate(flame.PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    moved = np.zeros_like(shaped)
    for joint in range(5):
        matrix = world[joint].copy()
        matrix[:3, 3] -= matrix[:3, :3] @ joints[joint]
        moved += model["weights"][:, joint : joint + 1] * (shaped @ matrix[:3, :3].T + matrix[:3, 3])
    return moved


def test_skinning_is_flames(tmp_path):
    arrays = basis()
    np.savez(tmp_path / "flame.npz", **arrays)
    model = flame.read_flame(tmp_path / "flame.npz")
    rng = np.random.default_rng(1)
    shape, expression, pose = rng.normal(size=100), rng.normal(size=(4, 10)), rng.normal(0, 0.3, (4, 15))
    pose[:, :6] = 0  # the head is kept still
    motion = flame.flame_motion({"exp": expression, "betas": shape, "pose": pose}, "clip")
    rest = flame.rest_of(model, motion.shape)
    expected = [posed(arrays, shape, e, p) for e, p in zip(expression, pose, strict=True)]
    np.testing.assert_allclose(flame.skin(model, rest, motion), expected, atol=1e-6)
    apart = {**arrays, "shapedirs": arrays["shapedirs"][..., :300], "exprdirs": arrays["shapedirs"][..., 300:]}
    apart["posedirs"] = arrays["posedirs"].transpose(2, 0, 1).reshape(36, -1)
    np.savez(tmp_path / "apart.npz", **apart)
    again = flame.read_flame(tmp_path / "apart.npz")
    np.testing.assert_allclose(flame.skin(again, rest, motion), expected, atol=1e-6)
    points, moved = flame.jaw_motion(model, rest, motion)
    hinge = (model.joints @ rest)[2]
    lengths = np.linalg.norm(points + moved - hinge, axis=2)
    np.testing.assert_allclose(lengths, np.broadcast_to(np.linalg.norm(points - hinge, axis=1), (4, 5)))


def test_turns_and_gaze():
    quarter = flame.rotations(np.array([[np.pi / 2, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(quarter[0] @ [0, 0, 1], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(quarter[1], np.eye(3))
    eyes = np.deg2rad(np.array([[10.0, 0, 0, 0, 20, 0]]))  # left eye down, right eye to the face's left
    motion = flame.flame_motion({"expr": np.zeros((1, 3)), "eye_pose": eyes}, "clip")
    np.testing.assert_allclose(flame.gaze(motion)[0], [[0, 20], [10, 0]], atol=1e-9)


def test_damaged_bases_and_clips_are_told(tmp_path):
    arrays = basis()
    np.savez(tmp_path / "a.npz", **{n: a for n, a in arrays.items() if n not in ("posedirs", "weights")})
    with pytest.raises(ValueError, match="missing array posedirs, weights"):
        flame.read_flame(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **{**arrays, "weights": arrays["weights"][:, :4]})
    with pytest.raises(ValueError, match="weights do not have"):
        flame.read_flame(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="no expression"):
        flame.flame_motion({"jaw": np.zeros((3, 3))}, "clip")
    with pytest.raises(ValueError, match="jaw"):
        flame.flame_motion({"exp": np.zeros((4, 3)), "jaw": np.zeros((3, 3))}, "clip")


def test_ply(tmp_path):
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]], np.float32)
    head = "ply\nformat {}\ncomment x\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uchar red\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    lines = "".join(f"{x} {y} {z} 7\n" for x, y, z in points) + "4 0 1 2 3\n"
    (tmp_path / "a.ply").write_text(head.format("ascii 1.0") + lines)
    body = b"".join(struct.pack("<fffB", *p, 7) for p in points) + struct.pack("<B4i", 4, 0, 1, 2, 3)
    (tmp_path / "b.ply").write_bytes(head.format("binary_little_endian 1.0").encode() + body)
    for name in ("a.ply", "b.ply"):
        vertices, triangles = read_ply(tmp_path / name)
        np.testing.assert_array_equal(vertices, points)
        assert triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    (tmp_path / "b.ply").write_bytes(head.format("binary_little_endian 1.0").encode() + body[:-3])
    with pytest.raises(ValueError, match="b.ply"):
        read_ply(tmp_path / "b.ply")


def write_vocaset(place, persons=("FaceTalk_1_TA",), sentences=3):
    """Flat vertices in metres at 60 a second with their sounds; returns the rig."""
    rig = FakeRig()
    (place / "npy").mkdir()
    for person in persons:
        for i in range(sentences):
            weights, _, samples = curves(i, 180, 60)
            frames = rig.rest + weights["jawOpen"][:, None, None] * rig.shapes["jawOpen"]
            np.save(place / f"npy/{person}_sentence{i:02d}.npy", (frames / 100).reshape(180, -1).astype(np.float32))
            write_sound(place / f"wav/{person}_sentence{i:02d}.wav", samples, 16000)
    return rig


def import_clips(place, *more):
    return import_flame.main([str(place / "npy"), "--audio", str(place / "wav"), "--actor", "ta", *more])


def test_vocaset(place, capsys):
    rig = write_vocaset(place, ("FaceTalk_1_TA", "FaceTalk_2_TA"))
    np.savez(place / "templates.npz", FaceTalk_1_TA=rig.rest / 100, FaceTalk_2_TA=rig.rest / 50)
    template = ["--template", str(place / "templates.npz")]
    assert import_clips(place, *template) == 2
    assert "--subject: FaceTalk_1_TA, FaceTalk_2_TA" in capsys.readouterr().err
    assert import_clips(place, *template, "--subject", "FaceTalk_1_TA", "--out-fps", "30") == 0
    home = place / "datasets/ta"
    shot = "FaceTalk_1_TA_sentence01"
    skin = np.load(home / f"cache/skin/{shot}/{shot}.npy")
    np.testing.assert_allclose(skin, 100 * np.load(place / f"npy/{shot}.npy")[::2].reshape(90, -1, 3), atol=1e-4)
    np.testing.assert_allclose(np.load(home / "geom/skin/neutral_pose.npy"), rig.rest, atol=1e-5)
    sections = load_config("ta", ("dataset", "preproc", "train"))
    assert sections["dataset"].CACHE_FPS == {"ta": 30.0} and len(sections["train"].CLIPS) == 3
    assert not [f for f in quick_check(sections, ["ta"]) if f.level == "error"]


def write_meshes(place, numbers, name="frame_{}.obj"):
    """The meshes of a clip `seq`, each as many millimetres higher as its number; and its sound."""
    rig = FakeRig()
    (place / "npy/seq").mkdir(parents=True)
    for t in numbers:
        lines = "".join(f"v {x} {y} {z}\n" for x, y, z in rig.rest + [0, 0.1 * t, 0])
        (place / "npy/seq" / name.format(t)).write_text(lines + "f 1 2 3\n")
    write_sound(place / "wav/seq.wav", np.full(32000, 0.1, np.float32), 16000)
    return rig


def heights(place, rig):
    skin = np.load(place / "datasets/ta/cache/skin/seq/seq.npy")
    return (skin - rig.rest)[:, :, 1].mean(axis=1) * 10


def test_frames_without_leading_zeros_come_in_their_order(place, capsys):
    rig = write_meshes(place, range(1, 31))
    (place / "npy/notes.txt").write_text("x")
    (place / "wav/b.m4a").write_bytes(b"x")
    (place / "wav/seq.mp3").write_bytes(b"x")
    assert import_clips(place, "--fps", "30", "--units", "cm") == 0
    np.testing.assert_allclose(heights(place, rig), np.arange(1, 31), atol=1e-3)
    told = capsys.readouterr().out
    assert "not a clip: 1 .txt file (notes.txt)" in told and "not read as sound: 1 .m4a file (b.m4a)" in told
    assert "the sound is seq.wav; unused: seq.mp3" in told


def test_frames_that_are_missing_are_told_and_do_not_shift_the_rest(place, capsys):
    rig = write_meshes(place, [*range(8, 13), *range(15, 40)])
    assert import_clips(place, "--fps", "30", "--units", "cm") == 0
    np.testing.assert_allclose(heights(place, rig), np.arange(8, 40), atol=1e-3)
    assert "seq: frames 13 to 14 are missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("neutral.obj", "one sequence"),
        ("frame_05.obj", "two files of frame 5"),
        ("frame_200.obj", "frames 31 to 199 are missing"),
    ],
)
def test_meshes_that_are_no_sequence_are_refused(place, capsys, name, words):
    write_meshes(place, range(1, 31))
    (place / "npy/seq" / name).write_bytes((place / "npy/seq/frame_1.obj").read_bytes())
    assert import_clips(place, "--fps", "30", "--units", "cm") == 2
    assert words in capsys.readouterr().err and not (place / "datasets").exists()


def test_names_that_two_clips_or_sounds_have_are_told(place, capsys):
    write_vocaset(place, sentences=2)
    (place / "npy/FaceTalk_1_TA_sentence00").mkdir()  # meshes of the same sentence
    write_sound(place / "wav/again/FaceTalk_1_TA_sentence01.flac", np.zeros(16000, np.float32), 16000)
    assert import_clips(place) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "would both be shot FaceTalk_1_TA_sentence00" in told[0]
    assert "FaceTalk_1_TA_sentence01.flac" in told[1] and "keep one" in told[1]


def test_parameters_and_a_basis(place, capsys):
    np.savez(place / "flame.npz", **basis())
    for i in range(2):
        rng = np.random.default_rng(i)
        (place / f"npy/clip{i}").mkdir(parents=True)
        np.save(place / f"npy/clip{i}/exp.npy", rng.normal(size=(60, 10)))
        np.save(place / f"npy/clip{i}/jaw_pose.npy", np.abs(rng.normal(0, 0.1, (60, 3))) * [1, 0, 0])
        write_sound(place / f"wav/clip{i}.wav", rng.normal(0, 0.1, 32000).astype(np.float32), 16000)
    assert import_clips(place, "--fps", "30") == 2
    assert "pass --basis" in capsys.readouterr().err
    assert import_clips(place, "--fps", "30", "--basis", str(place / "flame.npz")) == 0
    home = place / "datasets/ta"
    assert np.load(home / "cache/skin/clip0/clip0.npy").shape == (60, 60, 3)
    assert np.load(home / "geom/skin/triangles.npy").shape == (20, 3)
    with np.load(home / "xform/jaw_keypoints_cache_all.npz") as jaw:
        assert jaw["clip1"].shape == (60, 5, 3) and np.abs(jaw["clip1"]).max() > 0.1


def test_meshes_for_each_frame_and_what_is_refused(place, capsys):
    rig = write_vocaset(place, sentences=1)
    folder = place / "npy/b"
    folder.mkdir()
    for t in range(40):
        lines = "".join(f"v {x} {y} {z}\n" for x, y, z in (rig.rest + [0, 0.01 * t, 0]) / 100)
        (folder / f"b.{t:03d}.obj").write_text(lines + "f 1 2 3\n")
    assert import_clips(place, "--subject", "b") == 2
    assert "no sound b.wav" in capsys.readouterr().err
    write_sound(place / "wav/b.wav", np.full(10667, 0.1, np.float32), 16000)
    assert import_clips(place, "--subject", "b") == 0
    assert np.load(place / "datasets/ta/cache/skin/b/b.npy").shape == (40, len(rig.rest), 3)
    (place / "templates.pkl").write_bytes(b"x")
    assert import_clips(place, "--replace", "--template", str(place / "templates.pkl")) == 2
    assert "is a pickle" in capsys.readouterr().err
    (place / "npy/data_verts.npy").write_bytes(b"x")
    assert import_clips(place, "--replace") == 2
    assert "VOCASET as downloaded" in capsys.readouterr().err
