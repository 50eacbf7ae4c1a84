"""The Claire data set with everything that it has: skin, tongue, jaw, eyes, poses and blendshapes."""

import csv
from pathlib import Path

_claire = "/datasets/Audio2Face-3D-Dataset-v1.0.0-claire/data/claire"
_lists = Path(__file__).parent.parent / "claire"  # copy this folder too when you copy the project elsewhere

ACTOR_NAMES = ["claire"]
CACHE_FPS = {"claire": 30.0}

AUDIO_ROOT = {"claire": f"{_claire}/audio"}

SKIN_CACHE_ROOT = {"claire": f"{_claire}/cache/skin"}
SKIN_NEUTRAL_FPATH = {"claire": f"{_claire}/geom/skin/neutral_pose.npy"}
SKIN_LIP_OPEN_POSE_DELTA_FPATH = {"claire": f"{_claire}/geom/skin/lip_open_pose_delta.npy"}
SKIN_EYE_CLOSE_POSE_DELTA_FPATH = {"claire": f"{_claire}/geom/skin/eye_close_pose_delta.npy"}
SKIN_LIP_DIST_VERTEX_LIST_FPATH = {"claire": f"{_claire}/geom/skin/lip_dist_vertex_list.json"}
SKIN_LIP_SIZE_VERTEX_LIST_FPATH = {"claire": f"{_claire}/geom/skin/lip_size_vertex_list.json"}
SKIN_EYE_DIST_VERTEX_LIST_FPATH = {"claire": f"{_claire}/geom/skin/eye_dist_vertex_list.json"}

TONGUE_CACHE_ROOT = {"claire": f"{_claire}/cache/tongue"}
TONGUE_NEUTRAL_FPATH = {"claire": f"{_claire}/geom/tongue/neutral_pose.npy"}
TONGUE_RIGID_VERTEX_LIST_FPATH = {"claire": f"{_claire}/geom/tongue/rigid_vertex_list.json"}

JAW_KEYPOINTS_NEUTRAL_FPATH = {"claire": f"{_claire}/xform/jaw_keypoints_neutral.npy"}
JAW_ANIM_DATA_FPATH = {"claire": f"{_claire}/xform/jaw_keypoints_cache_all.npz"}

EYE_ANIM_DATA_FPATH = {"claire": f"{_claire}/xform/eye_rotations_all.npz"}
EYE_BLINK_KEYS_FPATH = {"claire": f"{_claire}/xform/eye_blink_keys.npy"}
EYE_SACCADE_ROTATIONS_FPATH = {"claire": f"{_claire}/xform/eye_saccade_rotations.npy"}

BLENDSHAPE_SKIN_FPATH = {"claire": f"{_claire}/bs_data/bs_skin.npz"}
BLENDSHAPE_SKIN_CONFIG_FPATH = {"claire": f"{_claire}/bs_data/bs_skin_config.json"}
BLENDSHAPE_TONGUE_FPATH = {"claire": f"{_claire}/bs_data/bs_tongue.npz"}
BLENDSHAPE_TONGUE_CONFIG_FPATH = {"claire": f"{_claire}/bs_data/bs_tongue_config.json"}

SHOT_EMOTION_NAMES = [
    "neutral",
    "amazement",
    "anger",
    "cheekiness",
    "disgust",
    "fear",
    "grief",
    "joy",
    "outofbreath",
    "pain",
    "sadness",
]

# Most shots are Chinese; the language of each is in the list of clips.
with open(_lists / "claire_clips.csv", encoding="utf-8", newline="") as _file:
    SHOT_LANGUAGE_MAP = {"claire": {row["shot"]: row["language"] for row in csv.DictReader(_file)}}
