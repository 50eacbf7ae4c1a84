"""The rules of a model check, and names and values as its messages show them."""

from __future__ import annotations

RULES: dict[str, str] = {
    "file-missing": "every file that model.json names exists",
    "file-empty": "no file is empty, or a git-lfs pointer",
    "json-syntax": "JSON is strict UTF-8: no comments, trailing commas, NaN or Infinity, one object per file",
    "json-duplicate": "no key occurs twice in one JSON object; the runtime would take the last",
    "json-key": "every key that the runtime reads is there",
    "json-type": "every value has the type that the runtime reads",
    "json-value": "numbers are finite; whole numbers are not negative, fractional or huge",
    "model-type": "id.type is regression or diffusion, id.output is geometry",
    "network-file": "networkPath names a TensorRT engine, or network.onnx to build one from is beside it",
    "list-length": "lists that belong together, and lists per identity, have the same length",
    "blendshape-paths": "each actor has config and data of skin and tongue blendshapes",
    "emotions": "there is at least one emotion, and a default value for each",
    "identities": "a diffusion model has at least one identity",
    "sizes": "sizes are positive, geometry sizes are multiples of 3, there are 4 eye values",
    "audio": "sample rate and window length are positive, the target lies inside the window",
    "windows": "frame 0 is at sample 0 and no early frame is lost: left * L divides by F, padding_left > left * L / F",
    "noise-even": "the number of noise values per item, (S + 1) * F * O, is even",
    "config-range": "CONFIG values lie in the runtime's ranges",
    "source-shot": "source_shot is in the emotion data base and source_frame inside the shot",
    "solver-strength": "solver strengths are >= 0 and templateBBSize >= 1",
    "pose-arrays": "the five pose arrays have numPoses entries",
    "pose-active": "at least one blendshape pose is active, and no more than 1024 are",
    "pose-pairs": "each pair number occurs exactly twice",
    "pose-minus-one": "not exactly two active poses carry -1: the runtime would make them a pair",
    "npz-extension": "npz files are named .npz; others are read as an old binary format",
    "npz-zip": "the npz is a whole zip file with a directory that agrees with its members",
    "npz-sync": "the runtime's walk from member to member finds them all",
    "npz-compressed": "members are stored, or deflated with true sizes in their own header",
    "npz-descriptor": "members have no data descriptor (written to a stream)",
    "npz-name": "member names end in .npy",
    "npz-duplicate": "no member occurs twice; the runtime would take the last",
    "npz-crc": "member data agree with their check sum",
    "npy-header": "array headers are readable, of version 1 and at most 255 bytes",
    "dtype": "arrays are little-endian float32, int32 or bytes as the runtime reads them; no unicode, no objects",
    "order": "arrays are in C order",
    "array-missing": "every array that the runtime reads is there",
    "array-size": "arrays have the number of values that network_info.json says",
    "array-shape": "arrays have the right number of dimensions, and arrays that belong together the same length",
    "not-finite": "arrays hold no NaN or infinity",
    "neutral-height": "the neutral face has an extent along Y",
    "jaw-points": "the jaw key points are as many as the network moves, spread out and not on a line",
    "saccade-table": "the saccade table is not empty and has two columns",
    "emotion-rows": "shots of the emotion data base lie inside its rows",
    "emotion-names": "shot names are not empty and occur once",
    "pose-names": "poseNames starts with neutral, and each name occurs once and can be an array's name",
    "pose-deltas": "poses are offsets from neutral, not positions",
    "pose-count": "poseNames has numPoses names after neutral",
    "frontal-mask": "frontalMask names vertices of the mesh",
    "trt-info": "trt_info.json has every network input at three batch sizes, and defaults for its placeholders",
    "onnx-operators": "the network is made of operators whose work has an end: no loops, random numbers, functions",
    "onnx-load": "onnxruntime can load the network",
    "curves": "network_curves.onnx and channels.json, which only this framework reads, are both there and agree",
    "onnx-tensors": "the network has exactly the tensors that the runtime knows",
    "onnx-rank": "the tensors have the right number of dimensions",
    "onnx-shape": "all but the batch dimension are fixed, and agree with network_info.json",
    "onnx-dtype": "all tensors are float32",
    "onnx-run": "the network runs at batch 1 and 2 and gives finite values",
    "onnx-batch": "items of a batch do not influence each other",
    "unreadable": "files can be read",
}


def label(name: str) -> str:
    """A file's name as it stands in model.json, for messages."""
    return name if name.isprintable() and len(name) <= 100 else brief(name)


def brief(value: object) -> str:
    """A value as text, shortened: it comes from a file that anyone may have written."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
