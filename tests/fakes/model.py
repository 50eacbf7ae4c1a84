"""Small, sound deployed models, and ways to damage them."""

import json
import struct
import warnings
import zipfile
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper

from audio2face.postprocess.limits import CONFIG_LIMITS

V, VT, K, KT, JAW, EYES = 6, 4, 3, 2, 15, 4
WINDOW, IMPLICIT, EMOTIONS = 64, 2, ["joy", "anger", "sadness"]
STEPS, LAYERS, WIDTH, FRAMES = 2, 1, 5, (4, 8, 4)
POSES = ["jawOpen", "mouthLeft", "mouthRight", "tongueOut"]
KEY_POINTS = np.array([[0, 0, 1], [2, 0, 0], [-2, 0, 0], [1, 1, -1], [-1, 1, -1]], np.float32)


def save_json(path, value):
    path.write_text(json.dumps(value, indent=2, allow_nan=False), encoding="utf-8")


def load_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def load_npz(path):
    with np.load(path) as arrays:
        return dict(arrays)


def regression_model(folder):
    """A whole regression model folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    save_json(
        folder / "model.json",
        {
            "networkInfoPath": "network_info.json",
            "networkPath": "network.trt",
            "emotionDatabasePath": "implicit_emo_db.npz",
            "modelConfigPath": "model_config.json",
            "modelDataPath": "model_data.npz",
            "blendshapePaths": blendshape_files(folder, rng),
        },
    )
    params = {
        "explicit_emotions": EMOTIONS, "default_emotion": [0.0, 0.0, 0.0], "implicit_emotion_len": IMPLICIT,
        "num_shapes_skin": K, "num_shapes_tongue": KT, "num_verts_skin": V, "num_verts_tongue": VT,
        "result_jaw_size": JAW, "result_eyes_size": EYES,
    }  # fmt: skip
    audio = {"buffer_len": WINDOW, "buffer_ofs": WINDOW // 2, "samplerate": 16000}
    write_info(folder, "regression", params, audio)
    config = {name: limit.default for name, limit in CONFIG_LIMITS.items()}
    save_json(folder / "model_config.json", {"config": config | {"source_shot": "calm", "source_frame": 3}})
    skin, tongue = meshes(rng)
    np.savez(
        folder / "model_data.npz",
        shapes_matrix_skin=rng.normal(size=(K, V, 3)).astype(np.float32),
        shapes_matrix_tongue=rng.normal(size=(KT, VT, 3)).astype(np.float32),
        shapes_mean_skin=skin,
        shapes_mean_tongue=tongue,
        **common_arrays(rng),
    )
    np.savez(
        folder / "implicit_emo_db.npz",
        emo_spec_names=np.array(["calm", "angry_1"], "S"),
        emo_spec_start=np.array([0, 5], np.int32),
        emo_spec_size=np.array([5, 7], np.int32),
        emo_db=rng.normal(size=(12, IMPLICIT)).astype(np.float32),
    )
    write_regression_onnx(folder / "network.onnx")
    write_trt_info(folder, lambda b: f"input:{b}x1x{WINDOW},emotion:{b}x1x{IMPLICIT + len(EMOTIONS)}")
    return folder


def diffusion_model(folder):
    """A whole diffusion model folder of two actors."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    actors = ["a", "b"]
    config = {name: limit.default for name, limit in CONFIG_LIMITS.items()}
    sets = []
    for actor in actors:
        skin, tongue = meshes(rng)
        np.savez(folder / f"model_data_{actor}.npz", neutral_skin=skin, neutral_tongue=tongue, **common_arrays(rng))
        save_json(folder / f"model_config_{actor}.json", {"config": config})
        sets.append(blendshape_files(folder, rng, f"_{actor}"))
    save_json(
        folder / "model.json",
        {
            "networkInfoPath": "network_info.json",
            "networkPath": "network.trt",
            "modelConfigPaths": [f"model_config_{actor}.json" for actor in actors],
            "modelDataPaths": [f"model_data_{actor}.npz" for actor in actors],
            "blendshapePaths": sets,
        },
    )
    params = {
        "emotions": EMOTIONS, "default_emotion": [0.0, 0.0, 0.0], "identities": actors, "skin_size": 3 * V,
        "tongue_size": 3 * VT, "jaw_size": JAW, "eyes_size": EYES, "num_diffusion_steps": STEPS,
        "num_gru_layers": LAYERS, "gru_latent_dim": WIDTH, "num_frames_left_truncate": FRAMES[0],
        "num_frames_center": FRAMES[1], "num_frames_right_truncate": FRAMES[2],
    }  # fmt: skip
    audio = {"buffer_len": WINDOW, "padding_left": WINDOW, "padding_right": WINDOW, "samplerate": 16000}
    write_info(folder, "diffusion", params, audio)
    write_diffusion_onnx(folder / "network.onnx")
    noise = f"{STEPS + 1}x{sum(FRAMES)}x{3 * V + 3 * VT + JAW + EYES}"
    write_trt_info(
        folder,
        lambda b: (
            f"window:{b}x{WINDOW},identity:{b}x2,emotion:{b}x{FRAMES[1]}x{len(EMOTIONS)},"
            f"input_latents:{STEPS}x{LAYERS}x{b}x{WIDTH},noise:{b}x{noise}"
        ),
    )
    return folder


def write_info(folder, kind, params, audio):
    ids = {"type": kind, "actor": "a", "version": "1", "output": "geometry"}
    save_json(folder / "network_info.json", {"id": ids, "params": params, "audio_params": audio})


def meshes(rng):
    return rng.normal(0, 5, (V, 3)).astype(np.float32), rng.normal(0, 1, (VT, 3)).astype(np.float32)


def common_arrays(rng):
    return {
        "eye_close_pose_delta": rng.normal(size=(V, 3)).astype(np.float32),
        "lip_open_pose_delta": rng.normal(size=(V, 3)).astype(np.float32),
        "neutral_jaw": KEY_POINTS,
        "saccade_rot_matrix": rng.normal(size=(20, 2)).astype(np.float32),
    }


def blendshape_files(folder, rng, suffix=""):
    """Writes the four files of an actor; returns its entry of blendshapePaths."""
    entry = {}
    for part, size in (("skin", V), ("tongue", VT)):
        poses = {name: rng.normal(size=(size, 3)).astype(np.float32) for name in POSES}
        mask = {"frontalMask": np.array([0, 2, 3], np.int32)} if part == "skin" else {}
        neutral = rng.normal(size=(size, 3)).astype(np.float32)
        names = np.array(["neutral", *POSES], "S")
        np.savez(folder / f"bs_{part}{suffix}.npz", poseNames=names, neutral=neutral, **mask, **poses)
        params = {
            "strengthL1regularization": 0.5, "strengthL2regularization": 0.5, "strengthTemporalSmoothing": 0.3,
            "strengthSymmetry": 100, "templateBBSize": 53.5, "numPoses": 4, "bsSolveActivePoses": [1, 1, 1, 1],
            "bsSolveCancelPoses": [-1, -1, -1, -1], "bsSolveSymmetryPoses": [-1, -1, -1, -1],
            "bsWeightMultipliers": [1.0, 1.0, 1.0, 1.0], "bsWeightOffsets": [0.0, 0.0, 0.0, 0.0],
        }  # fmt: skip
        save_json(folder / f"bs_{part}_config{suffix}.json", {"blendshape_params": params})
        entry[part] = {"config": f"bs_{part}_config{suffix}.json", "data": f"bs_{part}{suffix}.npz"}
    return entry


def write_trt_info(folder, shapes):
    sizes = {"min": "1", "opt": "{OPT_BATCH_SIZE}", "max": "{MAX_BATCH_SIZE}"}
    arguments = [f"--{name}Shapes={shapes(batch)}" for name, batch in sizes.items()]
    value = {
        "trt_build_param": {"memory": ["--memPoolSize=tacticSharedMem:0.046875"], "batch": arguments},
        "defaults": {"MAX_BATCH_SIZE": 8, "OPT_BATCH_SIZE": 3},
    }
    save_json(folder / "trt_info.json", value)


def tensor(name, *shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def save_onnx(path, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def write_regression_onnx(
    path, names=("input", "emotion", "result"), batch="batch", window=WINDOW, window_axis=None, weight=0.01, mix=False
):
    """result = [input, emotion] W. `mix` adds the sum over the batch, so that items influence each other."""
    sound, emotion, result = names
    width, out = window + IMPLICIT + len(EMOTIONS), K + KT + JAW + EYES
    matrix = helper.make_tensor("W", TensorProto.FLOAT, (width, out), np.full(width * out, weight, np.float32))
    nodes = [helper.make_node("Concat", [sound, emotion], ["joined"], axis=2)]
    if mix:
        nodes.append(helper.make_node("MatMul", ["joined", "W"], ["own"]))
        nodes.append(helper.make_node("ReduceSum", ["own"], ["all"]))
        nodes.append(helper.make_node("Add", ["own", "all"], [result]))
    else:
        nodes.append(helper.make_node("MatMul", ["joined", "W"], [result]))
    inputs = [tensor(sound, batch, 1, window_axis or window), tensor(emotion, batch, 1, IMPLICIT + len(EMOTIONS))]
    save_onnx(path, nodes, inputs, [tensor(result, batch, 1, out)], [matrix])


def write_diffusion_onnx(path, latent_axes=(STEPS, LAYERS, "batch", WIDTH)):
    """prediction = mean of the noise over steps + mean of the window; output_latents = input_latents."""
    out, frames = 3 * V + 3 * VT + JAW + EYES, sum(FRAMES)
    nodes = [
        helper.make_node("ReduceMean", ["noise"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["window"], ["level"], axes=[1], keepdims=1),
        helper.make_node("Unsqueeze", ["level", "two"], ["loudness"]),
        helper.make_node("Add", ["mean", "loudness"], ["prediction"]),
        helper.make_node("Identity", ["input_latents"], ["output_latents"]),
    ]
    inputs = [
        tensor("window", "batch", WINDOW), tensor("identity", "batch", 2),
        tensor("emotion", "batch", FRAMES[1], len(EMOTIONS)), tensor("input_latents", *latent_axes),
        tensor("noise", "batch", STEPS + 1, frames, out),
    ]  # fmt: skip
    outputs = [tensor("prediction", "batch", frames, out), tensor("output_latents", *latent_axes)]
    save_onnx(path, nodes, inputs, outputs, [helper.make_tensor("two", TensorProto.INT64, (1,), [2])])


# ---- damage


def edit_json(path, *keys, value=None, drop=False):
    """Set or drop one value, found by its keys."""
    root = load_json(path)
    inner = root
    for key in keys[:-1]:
        inner = inner[key]
    if drop:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    save_json(path, root)


def edit_npz(path, save=np.savez, drop=(), **arrays):
    """Replace, add or drop arrays; order is kept, new arrays come last."""
    kept = {name: array for name, array in load_npz(path).items() if name not in drop}
    save(path, **(kept | arrays))


def replace_text(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def npy_bytes(array, version=(1, 0), padding=0):
    """An npy file's bytes, with a header that can be made longer."""
    text = str({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}) + " " * padding + "\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode() + array.tobytes()


def write_zip(path, members, stream=False, method=zipfile.ZIP_STORED):
    """An npz of raw members [(name, bytes)]; `stream`: sizes come after the data, in a descriptor."""
    if not stream:
        with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings(action="ignore"):
            for name, data in members:
                archive.writestr(name, data)
        return
    body, directory = b"", b""
    for name, data in members:
        fields = struct.pack("<HHHHH", 20, 8, 0, 0, 33)
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        lengths = struct.pack("<HH", len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + fields + sizes + lengths
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\3\4" + fields + bytes(12) + lengths + name.encode() + data + b"PK\7\x08" + sizes
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)


def raw_members(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]
