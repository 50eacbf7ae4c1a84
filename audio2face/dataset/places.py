"""Where a data set's files lie in the folder of an actor, and whether what a config names is there."""

from __future__ import annotations

import os
from pathlib import Path

from audio2face.listing import natural_order
from audio2face.paths import external_path

VOICES_FOLDER = "aug"

# key of config_dataset -> path in the folder of an actor
PLACES = {
    "AUDIO_ROOT": "audio",
    "SKIN_CACHE_ROOT": "cache/skin",
    "SKIN_NEUTRAL_FPATH": "geom/skin/neutral_pose.npy",
    "SKIN_LIP_OPEN_POSE_DELTA_FPATH": "geom/skin/lip_open_pose_delta.npy",
    "SKIN_EYE_CLOSE_POSE_DELTA_FPATH": "geom/skin/eye_close_pose_delta.npy",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH": "geom/skin/lip_dist_vertex_list.json",
    "SKIN_LIP_SIZE_VERTEX_LIST_FPATH": "geom/skin/lip_size_vertex_list.json",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH": "geom/skin/eye_dist_vertex_list.json",
    "SKIN_TRIANGLES_FPATH": "geom/skin/triangles.npy",
    "SKIN_PRUNE_MESH_MASK_FPATH": "geom/skin/prune_mask.npy",
    "TONGUE_CACHE_ROOT": "cache/tongue",
    "TONGUE_NEUTRAL_FPATH": "geom/tongue/neutral_pose.npy",
    "TONGUE_RIGID_VERTEX_LIST_FPATH": "geom/tongue/rigid_vertex_list.json",
    "TONGUE_TRIANGLES_FPATH": "geom/tongue/triangles.npy",
    "JAW_KEYPOINTS_NEUTRAL_FPATH": "xform/jaw_keypoints_neutral.npy",
    "JAW_ANIM_DATA_FPATH": "xform/jaw_keypoints_cache_all.npz",
    "EYE_ANIM_DATA_FPATH": "xform/eye_rotations_all.npz",
    "EYE_BLINK_KEYS_FPATH": "xform/eye_blink_keys.npy",
    "EYE_SACCADE_ROTATIONS_FPATH": "xform/eye_saccade_rotations.npy",
    "BLENDSHAPE_SKIN_FPATH": "bs_data/bs_skin.npz",
    "BLENDSHAPE_SKIN_CONFIG_FPATH": "bs_data/bs_skin_config.json",
    "BLENDSHAPE_TONGUE_FPATH": "bs_data/bs_tongue.npz",
    "BLENDSHAPE_TONGUE_CONFIG_FPATH": "bs_data/bs_tongue_config.json",
}


def check_path(path: Path, key: str, actor: str, folder: bool) -> list[str]:
    """A line naming the key when `path` is not the folder or file that it should be, else nothing."""
    if (path.is_dir() if folder else path.is_file()) and os.access(path, os.R_OK):
        return []
    kind = "folder" if folder else "file"
    what = f"no such {kind}" if not path.exists() else f"not a readable {kind}"
    if not path.is_absolute():
        return [
            f"{key} of actor {actor!r}: {what}: {path}; below A2F_DATASETS_ROOT it is written /datasets/{path.as_posix()}"
        ]
    root = next((p for p in path.parents if p.is_dir()), Path(path.anchor))
    return [f"{key} of actor {actor!r}: {what}: {external_path(path)} (what exists of it: {external_path(root)})"]


def shot_folders(root: Path) -> list[str]:
    """Names of the sub-folders of `root`, in order, without hidden ones and stray files."""
    return natural_order(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
