"""The demo data set that tools/make_demo_dataset.py writes to /datasets/demo: everything an actor can have."""

_home = "/datasets/demo/demo"

ACTOR_NAMES = ["demo"]
CACHE_FPS = {"demo": 30.0}

AUDIO_ROOT = {"demo": f"{_home}/audio"}
PHONEME_ROOT = {"demo": f"{_home}/phones"}

SKIN_CACHE_ROOT = {"demo": f"{_home}/cache/skin"}
SKIN_NEUTRAL_FPATH = {"demo": f"{_home}/geom/skin/neutral_pose.npy"}
SKIN_LIP_OPEN_POSE_DELTA_FPATH = {"demo": f"{_home}/geom/skin/lip_open_pose_delta.npy"}
SKIN_EYE_CLOSE_POSE_DELTA_FPATH = {"demo": f"{_home}/geom/skin/eye_close_pose_delta.npy"}
SKIN_LIP_DIST_VERTEX_LIST_FPATH = {"demo": f"{_home}/geom/skin/lip_dist_vertex_list.json"}
SKIN_LIP_SIZE_VERTEX_LIST_FPATH = {"demo": f"{_home}/geom/skin/lip_size_vertex_list.json"}
SKIN_EYE_DIST_VERTEX_LIST_FPATH = {"demo": f"{_home}/geom/skin/eye_dist_vertex_list.json"}
SKIN_TRIANGLES_FPATH = {"demo": f"{_home}/geom/skin/triangles.npy"}

TONGUE_CACHE_ROOT = {"demo": f"{_home}/cache/tongue"}
TONGUE_NEUTRAL_FPATH = {"demo": f"{_home}/geom/tongue/neutral_pose.npy"}
TONGUE_RIGID_VERTEX_LIST_FPATH = {"demo": f"{_home}/geom/tongue/rigid_vertex_list.json"}
TONGUE_TRIANGLES_FPATH = {"demo": f"{_home}/geom/tongue/triangles.npy"}

JAW_KEYPOINTS_NEUTRAL_FPATH = {"demo": f"{_home}/xform/jaw_keypoints_neutral.npy"}
JAW_ANIM_DATA_FPATH = {"demo": f"{_home}/xform/jaw_keypoints_cache_all.npz"}

EYE_ANIM_DATA_FPATH = {"demo": f"{_home}/xform/eye_rotations_all.npz"}
EYE_BLINK_KEYS_FPATH = {"demo": f"{_home}/xform/eye_blink_keys.npy"}
EYE_SACCADE_ROTATIONS_FPATH = {"demo": f"{_home}/xform/eye_saccade_rotations.npy"}

BLENDSHAPE_SKIN_FPATH = {"demo": f"{_home}/bs_data/bs_skin.npz"}
BLENDSHAPE_SKIN_CONFIG_FPATH = {"demo": f"{_home}/bs_data/bs_skin_config.json"}
BLENDSHAPE_TONGUE_FPATH = {"demo": f"{_home}/bs_data/bs_tongue.npz"}
BLENDSHAPE_TONGUE_CONFIG_FPATH = {"demo": f"{_home}/bs_data/bs_tongue_config.json"}

SHOT_EMOTION_NAMES = ["neutral", "joy", "anger"]
