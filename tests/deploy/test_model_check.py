"""The model checker: sound models pass, and each kind of damage is found under its rule."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from fakes import model as fake
from fakes.model import edit_json, edit_npz, replace_text

from audio2face.deploy.check import model as model_check
from audio2face.deploy.check.operators import operator_problems

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_model.py"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"regression": fake.regression_model(root / "r"), "diffusion": fake.diffusion_model(root / "d")}


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_sound_models_pass(models, kind):
    report = model_check.inspect_model(models[kind])
    assert report.errors == []
    assert any(note.where.file == "network.trt" and "not built yet" in note.what for note in report.infos)
    assert not any("was not" in note.what for note in report.infos)


def info(*keys, **change):
    return lambda folder: edit_json(folder / "network_info.json", *keys, **change)


def model(*keys, **change):
    return lambda folder: edit_json(folder / "model.json", *keys, **change)


def config(key, **change):
    return lambda folder: edit_json(folder / "model_config.json", "config", key, **change)


def solver(key, **change):
    return lambda folder: edit_json(folder / "bs_skin_config.json", "blendshape_params", key, **change)


def text(file, old, new):
    return lambda folder: replace_text(folder / file, old, new)


def data(change):
    """Replace arrays of model_data.npz; `change` maps the arrays to new ones."""
    return lambda folder: edit_npz(folder / "model_data.npz", **change(fake.load_npz(folder / "model_data.npz")))


def emotions(**arrays):
    return lambda folder: edit_npz(folder / "implicit_emo_db.npz", **arrays)


def poses(**arrays):
    return lambda folder: edit_npz(folder / "bs_skin.npz", **arrays)


def without(file, name):
    return lambda folder: edit_npz(folder / file, drop=[name])


def network(**change):
    return lambda folder: fake.write_regression_onnx(folder / "network.onnx", **change)


def trt(old, new):
    return text("trt_info.json", old, new)


def members(file, **options):
    return lambda folder: fake.write_zip(folder / file, fake.raw_members(folder / file), **options)


def rewrite(file, change):
    """Replace the raw bytes of a file."""
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def extra_member(file, name, raw):
    def damage(folder):
        fake.write_zip(folder / file, [*fake.raw_members(folder / file), (name, raw)])

    return damage


def header(file, change):
    """Rewrite the text of the first array's npy header."""

    def damage(folder):
        (name, raw), *rest = fake.raw_members(folder / file)
        size = int.from_bytes(raw[8:10], "little")
        text = change(raw[10 : 10 + size])
        raw = raw[:8] + len(text).to_bytes(2, "little") + text + raw[10 + size :]
        fake.write_zip(folder / file, [(name, raw), *rest])

    return damage


def deflated_tail(folder):
    path = folder / "bs_skin.npz"
    tailed = [(name, raw + b"tail") for name, raw in fake.raw_members(path)]
    fake.write_zip(path, tailed, method=zipfile.ZIP_DEFLATED)


def more_poses(folder, count):
    path, config_path = folder / "bs_skin.npz", folder / "bs_skin_config.json"
    arrays, params = fake.load_npz(path), fake.load_json(config_path)["blendshape_params"]
    names = [f"pose{i}" for i in range(count)]
    poses = {name: arrays["jawOpen"] for name in names}
    np.savez(path, poseNames=np.array(["neutral", *names], "S"), neutral=arrays["neutral"], **poses)
    lists = {key: [value[0]] * count for key, value in params.items() if isinstance(value, list)}
    pairs = {"bsSolveCancelPoses": [-1] * count, "bsSolveSymmetryPoses": [-1] * count}
    fake.save_json(config_path, {"blendshape_params": params | lists | pairs | {"numPoses": count}})


def flip(raw, at):
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def renamed(folder):
    (folder / "bs_skin.npz").rename(folder / "bs_skin.bin")
    edit_json(folder / "model.json", "blendshapePaths", "skin", "data", value="bs_skin.bin")


def float64_output(folder):
    import onnx
    from onnx import TensorProto, helper

    path = folder / "network.onnx"
    proto = onnx.load(path)
    proto.graph.node[-1].output[0] = "single"
    proto.graph.node.append(helper.make_node("Cast", ["single"], ["result"], to=TensorProto.DOUBLE))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    onnx.save(proto, path)


def within(*names, domain=""):
    """Nodes of these operators, each in a graph of the one before."""

    def change(folder):
        network = onnx.load(folder / "network.onnx")
        graph = network.graph
        for name in names:
            node = graph.node.add(op_type=name, domain=domain, output=[f"of {name}"])
            graph = node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g
        (folder / "network.onnx").write_bytes(network.SerializeToString())

    return change


def with_functions(folder):
    network = onnx.load(folder / "network.onnx")
    network.functions.add(name="f", domain="own")
    (folder / "network.onnx").write_bytes(network.SerializeToString())


def test_no_cut_or_changed_network_is_a_fault_of_ours(models, tmp_path):
    content = (models["regression"] / "network.onnx").read_bytes()
    for at in range(7, len(content), 7):
        for damaged in (content[:at], content[:at] + b"\xff" + content[at + 1 :]):
            (tmp_path / "a.onnx").write_bytes(damaged)
            try:
                assert operator_problems(tmp_path / "a.onnx") is not None
            except ValueError as error:
                assert str(error).startswith("it is ")


def halves(folder):
    """A graph comes twice; libraries of protocol buffers join them."""
    rest = onnx.ModelProto()
    rest.graph.node.add(op_type="Scan", output=["x"])
    path = folder / "network.onnx"
    path.write_bytes(path.read_bytes() + rest.SerializeToString())
    assert [node.op_type for node in onnx.load(path).graph.node][-1] == "Scan"


def flat_output(folder):
    import onnx
    from onnx import helper

    path = folder / "network.onnx"
    proto = onnx.load(path)
    proto.graph.node[-1].output[0] = "deep"
    proto.graph.node.append(helper.make_node("Flatten", ["deep"], ["result"]))
    del proto.graph.output[0].type.tensor_type.shape.dim[1]
    onnx.save(proto, path)


def test_a_network_that_makes_more_than_the_limit_is_refused(models, tmp_path, monkeypatch):
    """Four numbers in the file, 16 GB when it runs: its process is refused them, this one goes on."""
    from onnx import helper, numpy_helper

    folder = shutil.copytree(models["regression"], tmp_path / "model")
    network = onnx.load(folder / "network.onnx")
    for name, values in {"wide": np.array([40_000, 100_000]), "one": np.ones((1, 1), np.float32)}.items():
        network.graph.initializer.append(numpy_helper.from_array(values, name))
    network.graph.node[-1].output[0] = "face"
    for kind, given, made in (("Expand", ["one", "wide"], "many"), ("ReduceMax", ["many"], "most")):
        network.graph.node.append(helper.make_node(kind, given, [made], **({"keepdims": 0} if made == "most" else {})))
    network.graph.node.append(helper.make_node("Mul", ["face", "most"], ["result"]))
    onnx.save(network, folder / "network.onnx")
    monkeypatch.setenv("A2F_READER_MEMORY_GB", "2")
    (problem,) = model_check.inspect_deployed(folder).errors
    assert problem.rule in ("onnx-load", "onnx-run"), problem


F32, I32 = np.float32, np.int32
ZERO = np.zeros((fake.V, 3), F32)

REGRESSION = {
    # model.json and JSON in general
    "no model.json": ("file-missing", lambda f: (f / "model.json").unlink()),
    "no network_info": ("file-missing", lambda f: (f / "network_info.json").unlink()),
    "no model data": ("file-missing", lambda f: (f / "model_data.npz").unlink()),
    "path with NUL": ("file-missing", model("modelDataPath", value="a\0b")),
    "very long path": ("file-missing", model("modelDataPath", value="a" * 5000)),
    "path to a folder": ("file-missing", model("modelDataPath", value=".")),
    "empty file": ("file-empty", rewrite("model_config.json", lambda b: b"")),
    "not fetched": ("file-empty", rewrite("model_data.npz", lambda b: b"version https://git-lfs.github.com/spec/v1\n")),
    "comment": ("json-syntax", text("model_config.json", "{", "{ // comment\n")),
    "trailing comma": ("json-syntax", text("model.json", "}", ",}")),
    "NaN": ("json-syntax", text("model_config.json", '"input_strength": 1.0', '"input_strength": NaN')),
    "number too large": ("json-syntax", text("model_config.json", '"input_strength": 1.0', '"input_strength": 1e999')),
    "not UTF-8": ("json-syntax", rewrite("model.json", lambda b: b.replace(b"network.trt", b"\xff.trt"))),
    "half a surrogate": ("json-syntax", text("model.json", "network.trt", "\\ud800.trt")),
    "list at the top": ("json-syntax", rewrite("model_config.json", lambda b: b"[" + b + b"]")),
    "deep nesting": ("json-syntax", rewrite("model_config.json", lambda b: b"[" * 10**6)),
    "long integer": (
        "json-syntax",
        text("model_config.json", '"input_strength": 1.0', '"input_strength": 1' + "0" * 5000),
    ),
    "duplicate key": ("json-duplicate", text("model_config.json", "{\n", '{ "config": {},\n')),
    "missing path": ("json-key", model("networkPath", drop=True)),
    "missing config key": ("json-key", config("tongue_strength", drop=True)),
    "path null": ("json-type", model("modelConfigPath", value=None)),
    "number as text": ("json-type", config("skin_strength", value="1")),
    "size as bool": ("json-type", info("params", "num_shapes_skin", value=True)),
    "negative size": ("json-value", info("params", "num_verts_skin", value=-1)),
    "fractional size": ("json-value", info("params", "num_verts_skin", value=6.5)),
    "negative offset": ("json-value", info("audio_params", "buffer_ofs", value=-1)),
    "beyond float32": ("json-value", config("input_strength", value=1e39)),
    # network_info.json
    "unknown type": ("model-type", info("id", "type", value="magic")),
    "not geometry": ("model-type", info("id", "output", value="joints")),
    "no actor": ("json-key", info("id", "actor", drop=True)),
    "no emotions": ("emotions", info("params", "explicit_emotions", value=[])),
    "short default emotion": ("emotions", info("params", "default_emotion", value=[0])),
    "3 eye values": ("sizes", info("params", "result_eyes_size", value=3)),
    "no tongue": ("sizes", info("params", "num_verts_tongue", value=0)),
    "jaw of 14": ("sizes", info("params", "result_jaw_size", value=14)),
    "sample rate 0": ("audio", info("audio_params", "samplerate", value=0)),
    "target outside": ("audio", info("audio_params", "buffer_ofs", value=65)),
    # model_config.json
    "out of range": ("config-range", config("lip_open_offset", value=0.3)),
    "seed too large": ("config-range", config("eye_saccade_seed", value=5000)),
    "unknown shot": ("source-shot", config("source_shot", value="clam")),
    "frame beyond shot": ("source-shot", config("source_frame", value=5)),
    "no source shot": ("json-key", config("source_shot", drop=True)),
    # npz files as containers
    "wrong extension": ("npz-extension", renamed),
    "savez_compressed": ("npz-compressed", lambda f: edit_npz(f / "model_data.npz", save=np.savez_compressed)),
    "bzip2": ("npz-compressed", members("model_data.npz", method=zipfile.ZIP_BZIP2)),
    "streamed": ("npz-descriptor", members("model_data.npz", stream=True)),
    "member name": ("npz-name", extra_member("bs_skin.npz", "notes.txt", fake.npy_bytes(np.zeros(1, F32)))),
    "twice": ("npz-duplicate", extra_member("bs_skin.npz", "neutral.npy", fake.npy_bytes(ZERO))),
    "npy version 2": ("npy-header", extra_member("bs_skin.npz", "a.npy", fake.npy_bytes(ZERO, version=(2, 0)))),
    "long npy header": ("npy-header", extra_member("bs_skin.npz", "a.npy", fake.npy_bytes(ZERO, padding=250))),
    "no npy at all": ("npy-header", extra_member("bs_skin.npz", "a.npy", b"hello, this is text")),
    "header without line break": ("npy-header", header("model_data.npz", lambda text: text[:-1] + b" ")),
    "header of two lines": ("npy-header", header("model_data.npz", lambda text: text.rstrip() + b"\n \n")),
    "header without spaces": ("npy-header", header("model_data.npz", lambda text: text.replace(b": ", b":"))),
    "bytes after deflated values": ("npz-sync", deflated_tail),
    "bytes after an array": ("npz-sync", extra_member("bs_skin.npz", "a.npy", fake.npy_bytes(ZERO) + b"tail")),
    "not a zip": ("npz-zip", rewrite("model_data.npz", lambda b: b"x" * 1000)),
    "truncated": ("npz-zip", rewrite("model_data.npz", lambda b: b[: len(b) // 2])),
    "directory cut off": ("npz-zip", rewrite("implicit_emo_db.npz", lambda b: b[:-30])),
    "directory of other data": ("npz-zip", rewrite("model_data.npz", lambda b: flip(b, b.rindex(b"PK\1\2") + 16))),
    "directory of another place": ("npz-zip", rewrite("model_data.npz", lambda b: flip(b, b.rindex(b"PK\1\2") + 42))),
    "bit flipped": ("npz-crc", rewrite("model_data.npz", lambda b: b[:250] + bytes([b[250] ^ 1]) + b[251:])),
    "empty archive": ("npz-zip", lambda f: fake.write_zip(f / "model_data.npz", [])),
    # model_data.npz
    "float64": ("dtype", data(lambda a: {"shapes_mean_skin": a["shapes_mean_skin"].astype(np.float64)})),
    "float16": ("dtype", data(lambda a: {"neutral_jaw": a["neutral_jaw"].astype(np.float16)})),
    "big-endian": ("dtype", data(lambda a: {"neutral_jaw": a["neutral_jaw"].astype(">f4")})),
    "extra bool array": ("dtype", data(lambda a: {"blink_keys": np.zeros(3, bool)})),
    "extra unicode array": ("dtype", data(lambda a: {"comment": np.array(["x"])})),
    "pickled objects": ("dtype", data(lambda a: {"comment": np.array([{}], object)})),
    "Fortran order": ("order", data(lambda a: {"eye_close_pose_delta": np.asfortranarray(a["eye_close_pose_delta"])})),
    "array missing": ("array-missing", without("model_data.npz", "saccade_rot_matrix")),
    "too few vertices": ("array-size", data(lambda a: {"lip_open_pose_delta": ZERO[1:]})),
    "too few components": ("array-size", data(lambda a: {"shapes_matrix_skin": a["shapes_matrix_skin"][1:]})),
    "NaN in the neutral": ("not-finite", data(lambda a: {"shapes_mean_skin": a["shapes_mean_skin"] * F32(np.nan)})),
    "infinity in an extra": ("not-finite", data(lambda a: {"extra": np.array([np.inf], F32)})),
    "pose in place of its offsets": (
        "pose-deltas",
        data(lambda a: {"lip_open_pose_delta": a["shapes_mean_skin"] + F32(0.1) * a["lip_open_pose_delta"]}),
    ),
    "flat face": ("neutral-height", data(lambda a: {"shapes_mean_skin": ZERO})),
    "jaw at one point": ("jaw-points", data(lambda a: {"neutral_jaw": np.zeros((5, 3), F32)})),
    "jaw on a line": ("jaw-points", data(lambda a: {"neutral_jaw": np.arange(15, dtype=F32).reshape(5, 3)})),
    "jaw of 4 points": ("jaw-points", data(lambda a: {"neutral_jaw": fake.KEY_POINTS[:4]})),
    "odd saccades": ("saccade-table", data(lambda a: {"saccade_rot_matrix": np.zeros((5, 3), F32)})),
    "no saccades": ("saccade-table", data(lambda a: {"saccade_rot_matrix": np.zeros((0, 2), F32)})),
    # implicit_emo_db.npz
    "names as unicode": ("dtype", emotions(emo_spec_names=np.array(["calm", "angry_1"]))),
    "start as int64": ("dtype", emotions(emo_spec_start=np.array([0, 5]))),
    "emo_db float64": ("dtype", emotions(emo_db=np.zeros((12, fake.IMPLICIT)))),
    "emo_db flat": ("array-shape", emotions(emo_db=np.zeros(24, F32))),
    "lengths differ": ("array-shape", emotions(emo_spec_size=np.array([5, 7, 1], I32))),
    "emo_db too wide": ("array-size", emotions(emo_db=np.zeros((12, 3), F32))),
    "rows beyond the end": ("emotion-rows", emotions(emo_spec_start=np.array([0, 6], I32))),
    "negative start": ("emotion-rows", emotions(emo_spec_start=np.array([-1, 5], I32))),
    "shot twice": ("emotion-names", emotions(emo_spec_names=np.array(["calm", "calm"], "S"))),
    "no sizes": ("array-missing", without("implicit_emo_db.npz", "emo_spec_size")),
    # blendshapes
    "skin without tongue": ("blendshape-paths", model("blendshapePaths", "tongue", drop=True)),
    "no blendshapes": ("blendshape-paths", model("blendshapePaths", value={})),
    "no blendshapePaths": ("json-key", model("blendshapePaths", drop=True)),
    "pose data missing": ("file-missing", lambda f: (f / "bs_tongue.npz").unlink()),
    "negative strength": ("solver-strength", solver("strengthSymmetry", value=-1)),
    "small template": ("solver-strength", solver("templateBBSize", value=0.5)),
    "short pose array": ("pose-arrays", solver("bsWeightOffsets", value=[0, 0, 0])),
    "nothing active": ("pose-active", solver("bsSolveActivePoses", value=[0, 0, 0, 0])),
    "too many active": ("pose-active", lambda f: more_poses(f, 1100)),
    "half active": ("json-value", solver("bsSolveActivePoses", value=[1, 1, 1, 0.5])),
    "single of a pair": ("pose-pairs", solver("bsSolveCancelPoses", value=[-1, 3, -1, -1])),
    "three of a pair": ("pose-pairs", solver("bsSolveSymmetryPoses", value=[3, 3, 3, -1])),
    "two poses with -1": ("pose-minus-one", solver("bsSolveCancelPoses", value=[-1, 3, 3, -1])),
    "pose count": ("pose-count", poses(poseNames=np.array(["neutral", *fake.POSES[:3]], "S"))),
    "neutral not first": ("pose-names", poses(poseNames=np.array([*fake.POSES, "neutral"], "S"))),
    "pose name twice": ("pose-names", poses(poseNames=np.array(["neutral", *fake.POSES[:3], "jawOpen"], "S"))),
    "pose names unicode": ("dtype", poses(poseNames=np.array(["neutral", *fake.POSES]))),
    "rig version unicode": ("dtype", poses(rig_version=np.array("1.0"))),
    "pose missing": ("array-missing", without("bs_skin.npz", "mouthLeft")),
    "pose of another mesh": ("array-size", poses(jawOpen=np.zeros((5, 3), F32))),
    "positions as pose": (
        "pose-deltas",
        lambda f: edit_npz(f / "bs_skin.npz", jawOpen=fake.load_npz(f / "bs_skin.npz")["neutral"] + F32(0.1)),
    ),
    "pose float64": ("dtype", poses(jawOpen=np.zeros((fake.V, 3)))),
    "pose NaN": ("not-finite", poses(jawOpen=ZERO * F32(np.nan))),
    "neutral of another mesh": ("array-size", poses(neutral=np.zeros((5, 3), F32))),
    "neutral without extent": ("neutral-height", poses(neutral=ZERO)),
    "mask int64": ("dtype", poses(frontalMask=np.array([0, 1]))),
    "mask bool": ("dtype", poses(frontalMask=np.ones(fake.V, bool))),
    "mask beyond the mesh": ("frontal-mask", poses(frontalMask=np.array([0, fake.V], I32))),
    "mask negative": ("frontal-mask", poses(frontalMask=np.array([-1, 2], I32))),
    "mask of zeros and ones": ("frontal-mask", poses(frontalMask=np.arange(fake.V, dtype=I32) % 2)),
    "mask of two dimensions": ("array-shape", poses(frontalMask=np.array([[0, 1]], I32))),
    # network
    "no network at all": ("network-file", lambda f: (f / "network.onnx").unlink()),
    "ONNX as engine": ("network-file", model("networkPath", value="network.onnx")),
    "ONNX named as engine": ("network-file", lambda f: shutil.copy(f / "network.onnx", f / "network.trt")),
    "engine of another name": ("network-file", lambda f: (f / "network_fp16.trt").write_bytes(b"ftrt....")),
    "text as engine": ("network-file", lambda f: (f / "network.trt").write_text("version https://git-lfs")),
    "ONNX damaged": ("onnx-load", rewrite("network.onnx", lambda b: b[: len(b) // 2])),
    "ONNX empty": ("file-empty", lambda f: (f / "network.onnx").write_bytes(b"")),
    "curves without their names": ("curves", lambda f: shutil.copyfile(f / "network.onnx", f / "network_curves.onnx")),
    "names of curves without a network": ("curves", lambda f: (f / "channels.json").write_text("[]")),
    "ONNX with a loop": ("onnx-operators", within("Loop")),
    "ONNX with a loop in a branch": ("onnx-operators", within("If", "Loop")),
    "ONNX that draws": ("onnx-operators", within("RandomUniform")),
    "ONNX of another domain": ("onnx-operators", within("Add", domain="stranger")),
    "ONNX with functions": ("onnx-operators", with_functions),
    "ONNX in two halves": ("onnx-operators", halves),
    "renamed input": ("onnx-tensors", network(names=("audio", "emotion", "result"))),
    "renamed output": ("onnx-tensors", network(names=("input", "emotion", "output"))),
    "other window": ("onnx-shape", network(window=32)),
    "free window": ("onnx-shape", network(window_axis="time")),
    "rank 2 output": ("onnx-rank", flat_output),
    "float64 output": ("onnx-dtype", float64_output),
    "NaN weights": ("onnx-run", network(weight=np.nan)),
    "batch mixes": ("onnx-batch", network(mix=True)),
    "network_info says otherwise": ("onnx-shape", info("params", "implicit_emotion_len", value=3)),
    # trt_info.json
    "no default": ("trt-info", lambda f: edit_json(f / "trt_info.json", "defaults", drop=True)),
    "attribute placeholder": ("trt-info", trt("{OPT_BATCH_SIZE}", "{OPT_BATCH_SIZE.__class__}")),
    "open brace": ("trt-info", trt("{OPT_BATCH_SIZE}", "{OPT_BATCH_SIZE")),
    "missing input": ("trt-info", trt("input:1x1x64,", "")),
    "wrong size": ("trt-info", trt("input:1x1x64", "input:1x1x65")),
    "minimum of 2": ("trt-info", trt("input:1x1x64,emotion:1x", "input:2x1x64,emotion:2x")),
    "usual batch above the largest": (
        "trt-info",
        lambda f: edit_json(f / "trt_info.json", "defaults", "OPT_BATCH_SIZE", value=9),
    ),
    "batch as a float": ("trt-info", lambda f: edit_json(f / "trt_info.json", "defaults", "MAX_BATCH_SIZE", value=8.0)),
    "input named twice": ("trt-info", trt("--minShapes=input:1x1x64", "--minShapes=input:1x1x64,input:1x1x64")),
    "half precision tensors": ("trt-info", trt('"--minShapes', '"--inputIOFormats=fp16:chw",\n"--minShapes')),
    "shapes of a fixed batch": ("trt-info", network(batch=1)),
    "two profiles": ("trt-info", trt('"--minShapes', '"--minShapes=input:1x1x64,emotion:1x1x5",\n"--minShapes')),
}

DIFFUSION = {
    "odd noise": ("noise-even", info("params", "num_frames_center", value=7)),
    "frame 0 lost": ("windows", info("params", "num_frames_left_truncate", value=3)),
    "padding too short": ("windows", info("audio_params", "padding_left", value=16)),
    "skin size": ("sizes", info("params", "skin_size", value=19)),
    "no identities": ("identities", info("params", "identities", value=[])),
    "one identity": ("list-length", info("params", "identities", value=["a"])),
    "one config": ("list-length", model("modelConfigPaths", value=["model_config_a.json"])),
    "one blendshape set": ("list-length", lambda f: drop_last_set(f)),
    "blendshapes as object": ("json-type", model("blendshapePaths", value={})),
    "steps disagree": ("onnx-shape", info("params", "num_diffusion_steps", value=4)),
    "latents per item": ("onnx-shape", lambda f: fake.write_diffusion_onnx(f / "network.onnx", ("batch", 1, 2, 5))),
    "regression keys": ("json-key", lambda f: use_regression_keys(f)),
    "no latent size": ("json-key", info("params", "gru_latent_dim", drop=True)),
    "neutral missing": ("array-missing", without("model_data_b.npz", "neutral_tongue")),
    "second actor's range": (
        "config-range", lambda f: edit_json(f / "model_config_b.json", "config", "skin_strength", value=2.1)
    ),
}  # fmt: skip


def drop_last_set(folder):
    sets = fake.load_json(folder / "model.json")["blendshapePaths"]
    edit_json(folder / "model.json", "blendshapePaths", value=sets[:1])


def use_regression_keys(folder):
    edit_json(folder / "network_info.json", "params", "explicit_emotions", value=fake.EMOTIONS)
    edit_json(folder / "network_info.json", "params", "emotions", drop=True)


CASES = [("regression", name, *case) for name, case in REGRESSION.items()]
CASES += [("diffusion", name, *case) for name, case in DIFFUSION.items()]


@pytest.mark.parametrize(("kind", "name", "rule", "damage"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_damage_is_found_under_its_rule(models, tmp_path, kind, name, rule, damage):
    folder = shutil.copytree(models[kind], tmp_path / "model")
    damage(folder)
    problems = model_check.check_model(folder)
    assert rule in {problem.rule for problem in problems}, problems
    for problem in problems:
        assert problem.rule in model_check.RULES and problem.where.file and problem.what
        assert str(problem).isprintable()


def test_every_rule_but_unreadable_has_a_damaged_model():
    assert model_check.RULES.keys() - {case[2] for case in CASES} == {"unreadable"}


def test_what_the_runtime_accepts_is_no_problem(models, tmp_path):
    folder = shutil.copytree(models["regression"], tmp_path / "model")
    edit_json(folder / "model_config.json", "config", "skin_strength", value=True)
    edit_json(folder / "network_info.json", "params", "num_verts_skin", value=6.0)
    edit_json(folder / "bs_skin_config.json", "blendshape_params", "templateBBSize", drop=True)
    edit_json(folder / "model.json", "more", value={"keys": 1})
    path = folder / "model.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    edit_npz(folder / "bs_skin.npz", rig_version=np.array("1.0", "S"), keys=np.arange(3))
    edit_npz(folder / "bs_tongue.npz", frontalMask=np.zeros(0, I32))
    members("bs_tongue.npz", method=zipfile.ZIP_DEFLATED)(folder)  # its headers carry the true sizes
    data(lambda a: {"extra": np.zeros(3, F32), "saccade_rot_matrix": a["saccade_rot_matrix"].ravel()})(folder)
    assert model_check.check_model(folder) == []


def test_geometry_alone_needs_no_blendshapes(models, tmp_path):
    for kind, value in (("regression", {}), ("diffusion", [{}, {}])):
        folder = shutil.copytree(models[kind], tmp_path / kind)
        edit_json(folder / "model.json", "blendshapePaths", value=value)
        assert model_check.check_model(folder) != []
        assert model_check.check_model(folder, geometry_only=True) == []
        edit_json(folder / "model.json", "blendshapePaths", drop=True)
        assert model_check.check_model(folder, geometry_only=True) == []
    half = shutil.copytree(models["regression"], tmp_path / "half")
    edit_json(half / "model.json", "blendshapePaths", "tongue", drop=True)
    solver("strengthSymmetry", value=-1)(half)
    assert [problem.rule for problem in model_check.check_model(half, geometry_only=True)] == ["solver-strength"]


def test_notes_tell_what_has_no_effect(models, tmp_path):
    folder = shutil.copytree(models["regression"], tmp_path / "model")
    data(lambda a: {"lip_open_pose_delta": ZERO, "saccade_rot_matrix": np.zeros((4, 2), F32)})(folder)
    (folder / "network.trt").write_bytes(b"ftrt....")
    network(batch=1)(folder)
    edit_json(folder / "trt_info.json", "trt_build_param", "batch", value=[])
    report = model_check.inspect_model(folder)
    assert report.errors == []
    text = " ".join(note.what for note in report.infos)
    assert "lip_open_offset has no effect" in text and "no saccades" in text and "fixed to 1" in text
    assert "not built" not in text and "does not look like" not in text


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_any_damage_is_a_finding_and_never_an_exception(models, tmp_path, kind):
    """Bytes cut, flipped and inserted at random, in every file but the network, which is onnxruntime's to parse."""
    folder = shutil.copytree(models[kind], tmp_path / "model")
    (folder / "network.onnx").unlink()
    (folder / "network.trt").write_bytes(b"ftrt")
    rng = np.random.default_rng(4)
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        for _ in range(12):
            damaged = bytearray(sound)
            for _ in range(rng.integers(1, 4)):
                at = int(rng.integers(len(damaged) + 1))
                how = rng.integers(3)
                if how == 0:
                    del damaged[at:]
                elif how == 1 and at < len(damaged):
                    damaged[at] = rng.integers(256)
                else:
                    damaged[at:at] = rng.bytes(int(rng.integers(1, 9)))
            path.write_bytes(bytes(damaged))
            model_check.check_model(folder)
        path.write_bytes(sound)
    assert model_check.check_model(folder) == []


def test_command_line(models, tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True)

    good = run(models["regression"])
    assert good.returncode == 0 and "OK" in good.stdout and "not built yet" in good.stdout
    actors = tmp_path / "actors"
    shutil.copytree(models["regression"], actors / "a")
    shutil.copytree(models["regression"], actors / "b")
    config("skin_strength", value=9)(actors / "b")
    bad = run(actors, "--json")
    assert bad.returncode == 1
    found = json.loads(bad.stdout)
    assert found[str(actors / "a")]["problems"] == []
    assert found[str(actors / "b")]["problems"][0]["rule"] == "config-range"
    (actors / "b" / "model.json").unlink()  # what is left is still an actor's model
    assert json.loads(run(actors, "--json").stdout)[str(actors / "b")]["problems"][0]["rule"] == "file-missing"
    shutil.copy(actors / "a" / "model.json", actors / "b")
    table = run(actors)
    assert table.returncode == 1 and "config-range  model_config.json" in table.stdout
    assert run(tmp_path / "nowhere").returncode == 2 and run().returncode == 2
    assert "python tools/check_model.py" in run("--help").stdout
    assert "pose-minus-one" in run("--rules").stdout


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_what_a_project_may_choose_is_a_note_for_all_who_judge(models, tmp_path, kind):
    folder = shutil.copytree(models[kind], tmp_path / kind)
    empty = {} if kind == "regression" else [{}, {}]
    edit_json(folder / "model.json", "blendshapePaths", value=empty)
    if kind == "diffusion":
        edit_json(folder / "network_info.json", "audio_params", "padding_left", value=0)
    report = model_check.inspect_deployed(folder)
    assert report.errors == [] and "has no tongue" in " ".join(note.what for note in report.infos)
    assert [n.rule for n in report.infos if n.rule != "note"] == (["windows"] if kind == "diffusion" else [])
    wanting = subprocess.run([sys.executable, TOOL, folder, "--blendshapes"], capture_output=True, text=True)
    assert wanting.returncode == 1 and "blendshape-paths" in wanting.stdout
    for options in ([], ["--geometry-only"]):
        found = subprocess.run([sys.executable, TOOL, folder, *options], capture_output=True, text=True)
        assert found.returncode == 0 and "OK" in found.stdout, found.stdout
