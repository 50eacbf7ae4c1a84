"""An actor of random vertices with every kind of file that preprocessing reads: float64 and Fortran order here and there.

`fakes.actor` makes faces that pass the checks of data; these pass none, and are quicker to compute by hand.
"""

import json
import wave

import numpy as np

from audio2face.formats import ANIMATION_WRITERS
from audio2face.formats.npy import write_npz

V, VT, FPS = 40, 14, 30.0
STRENGTHS = ("L1regularization", "L2regularization", "TemporalSmoothing", "Symmetry")
SHOTS = {"a1_neutral": 45, "a2_joy": 38, "file": 30}
KEYS = {
    "AUDIO_ROOT": "audio",
    "SKIN_CACHE_ROOT": "cache/skin",
    "TONGUE_CACHE_ROOT": "cache/tongue",
    "SKIN_NEUTRAL_FPATH": "geom/skin/neutral_pose.npy",
    "SKIN_LIP_OPEN_POSE_DELTA_FPATH": "geom/skin/lip_open_pose_delta.npy",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH": "geom/skin/lip_dist_vertex_list.json",
    "SKIN_LIP_SIZE_VERTEX_LIST_FPATH": "geom/skin/lip_size_vertex_list.json",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH": "geom/skin/eye_dist_vertex_list.json",
    "TONGUE_NEUTRAL_FPATH": "geom/tongue/neutral_pose.npy",
    "TONGUE_RIGID_VERTEX_LIST_FPATH": "geom/tongue/rigid_vertex_list.json",
    "JAW_KEYPOINTS_NEUTRAL_FPATH": "xform/jaw_keypoints_neutral.npy",
    "JAW_ANIM_DATA_FPATH": "xform/jaw.npz",
    "EYE_ANIM_DATA_FPATH": "xform/eye.npz",
    "EYE_SACCADE_ROTATIONS_FPATH": "xform/saccades.npy",
    "BLENDSHAPE_SKIN_FPATH": "bs_data/bs_skin.npz",
    "BLENDSHAPE_SKIN_CONFIG_FPATH": "bs_data/bs_skin_config.json",
}


def write_wav(path, seconds, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.zeros(int(seconds * rate), "<i2").tobytes())


def write_actor(root, form="npy"):
    """A face of 40 and a tongue of 14 vertices that move in 5 and 2 ways; float64 and Fortran order here and there."""
    rng = np.random.default_rng(5)
    for folder in ("geom/skin", "geom/tongue", "xform", "bs_data"):
        (root / folder).mkdir(parents=True)
    rest, shapes = (
        rng.uniform(-10, 10, (V, 3)),
        rng.standard_normal((5, V, 3)) * np.array([3, 2, 1, 0.5, 0.2])[:, None, None],
    )
    tongue_rest, tongue_shapes = rng.uniform(-3, 3, (VT, 3)), rng.standard_normal((2, VT, 3)) * 3
    tongue_shapes[:, :6] = 0
    jaw, eye = {}, {}
    for shot, count in SHOTS.items():
        write_wav(root / f"audio/{shot}.wav", count / FPS)
        weights = rng.standard_normal((count, 7))
        skin = rest + np.tensordot(weights[:, :5], shapes, 1)
        tongue = tongue_rest + np.tensordot(weights[:, 5:], tongue_shapes, 1) + rng.standard_normal((count, 1, 3))
        for mesh, frames in (("skin", skin), ("tongue", tongue)):
            folder = root / "cache" / mesh / shot
            folder.mkdir(parents=True)
            ANIMATION_WRITERS[form](folder / shot, frames.astype(np.float32), FPS, f"{mesh}Shape")
        jaw[shot], eye[shot] = rng.standard_normal((count, 5, 3)), rng.standard_normal((count, 2, 2))
    np.save(root / "geom/skin/neutral_pose.npy", rest.astype(np.float32))
    np.save(root / "geom/skin/lip_open_pose_delta.npy", np.asfortranarray(shapes[0]))
    np.save(root / "geom/tongue/neutral_pose.npy", tongue_rest)
    np.save(root / "xform/jaw_keypoints_neutral.npy", rng.standard_normal((5, 3)))
    np.savez(root / "xform/eye.npz", **{s: e for s, e in eye.items() if s != "file"})
    write_npz(root / "xform/jaw.npz", jaw)
    np.save(root / "xform/saccades.npy", rng.standard_normal((50, 2)))
    write_json(root / "geom/skin/lip_dist_vertex_list.json", {"upper": [1, 2], "lower": [3, 4]})
    write_json(
        root / "geom/skin/lip_size_vertex_list.json",
        {k: {"top": [1], "bottom": [2]} for k in ("upper_lip", "lower_lip")},
    )
    write_json(root / "geom/skin/eye_dist_vertex_list.json", {"upper": [5, 6], "lower": [7, 8]})
    write_json(root / "geom/tongue/rigid_vertex_list.json", list(range(6)))
    poses = {"jawOpen": shapes[0], "mouthSmile": shapes[1]}
    names = np.array(["neutral", *poses])
    np.savez(
        root / "bs_data/bs_skin.npz",
        poseNames=names,
        neutral=rest,
        frontalMask=np.arange(9),
        rig_version="1.0",
        **poses,
    )
    write_json(root / "bs_data/bs_skin_config.json", {"blendshape_params": solver_settings([1, 0])})


def solver_settings(active, **changes):
    count = len(active)
    params = {f"strength{name}": 0.1 for name in STRENGTHS} | {"numPoses": count, "bsSolveActivePoses": active}
    params |= {"bsSolveCancelPoses": [-1] * count, "bsSolveSymmetryPoses": [-1] * count}
    return params | {"bsWeightMultipliers": [1.0] * count, "bsWeightOffsets": [0.0] * count} | changes


def write_json(path, data):
    path.write_text(json.dumps(data))
