"""config_dataset.py: where the captured data of every actor lies and what is in it.

Most keys are dicts by actor, so that one project can train several actors. Of the paths only AUDIO_ROOT and
one with motion (SKIN_CACHE_ROOT or CURVES_ROOT, as a rule) are required; what is missing is replaced by a placeholder that the log names. Paths may be strings or
`pathlib.Path`, and are written as the container sees them: `/datasets/…` means A2F_DATASETS_ROOT/….
"""

from audio2face.config.kinds import EmotionNames, Files, Folders, GroupFolders, GroupNames, GroupRates, LanguageMap, NameByActor, Names, OffsetsByShot, Positive, RateByActor, ShotEmotion, Word  # fmt: skip
from audio2face.config.nested import ChannelsByActor, CurveKinds, ScaleByActor

## Actors and rates

# Names of the actors of this data set. They are the keys of all dicts below, the ACTOR_NAME that `run_preproc.py`
# takes, and the identities of the deployed model, in this order.
# Type: list of unique names (letters, digits, `_`, `-`, `.`), at least one.
# Change: always. Add a second name to train several actors together.
ACTOR_NAMES: Names = []

# Frame rate of an actor's animation caches (skin, tongue, jaw and eyes share it). A rate written inside a cache file
# is compared with it and a contradiction is refused; 24, 30 or 60 in a file may be 23.976, 29.97 or 59.94.
# Type: {actor: frames per second, > 0}, required for every actor; `29.97` is fine.
# Change: always. Never set it to make a wrong length fit: sound and face would drift apart.
CACHE_FPS: RateByActor = {}

# How many units of the meshes make one metre: 100 for centimetres, 1 for metres, 1000 for millimetres. Used to print
# errors in millimetres; the data itself is not scaled.
# Type: number > 0, units per metre.
# Change: when your meshes are not in centimetres.
UNITS_PER_METRE: Positive = 100.0

## Audio

# Folder with the speech of an actor: `<folder>/<shot>.wav`, and optionally other voices speaking with the same timing
# in `<folder>/aug/<voice>/<shot>.wav`. Stereo is averaged to mono (but see AUDIO_CHANNELS) and every rate is resampled to
# 16 kHz.
# Type: {actor: folder}, required for every actor; wav, flac, aif, ogg, opus or mp3, 16 kHz or more.
# Change: always.
AUDIO_ROOT: Folders = {}

# Which channel of an actor's files is the actor's own voice ("self") and which that of the person whom the actor talks to
# ("partner"), as a call or a conversation is recorded. Channels are counted from 0. Without an entry several channels are
# averaged, as of one voice.
# Type: {actor: {"self": channel, "partner": channel}}; "partner" may be left out.
# Change: when one file holds both voices. Two actors may share the files: {"ann": {"self": 0, "partner": 1}, "bob": {"self":
#   1, "partner": 0}}.
AUDIO_CHANNELS: ChannelsByActor = {}

# Folder with the speech of the person whom an actor talks to, in files named as the actor's own: `<folder>/<shot>.wav`. A
# "diffusion_transformer" then also hears the partner, so that the face listens and answers; other networks do not. Shots
# without a file there are monologues, which the same network learns beside dialogues. "partner" in AUDIO_CHANNELS is a
# channel of these files, if there are any.
# Type: {actor: folder}; sounds as in AUDIO_ROOT.
# Change: when the partner was recorded in files of their own.
PARTNER_AUDIO_ROOT: Folders = {}

# How many frames (of CACHE_FPS) later than the shot's first frame the partner's file starts it, as the audio offset of CLIPS:
# frame i of the shot sounds at frame i + offset of the file.
# Type: {actor: {shot: frames}}, 0 for shots that are not named.
# Change: when files of PARTNER_AUDIO_ROOT do not start with the animation.
PARTNER_AUDIO_OFFSETS: OffsetsByShot = {}

# Folder with the times of the phonemes in each shot's sound, `<folder>/<shot>.json` or `<folder>/<shot>.TextGrid` as
# forced aligners write it. `run_evaluate.py` uses it to measure whether lips close on m, b and p. Without it, or for
# shots that have no file there, the recogniser of the extra `speech` is used.
# Type: {actor: folder}; a JSON file is [[symbol, start, end], …] in seconds, symbols in IPA or ARPAbet.
# Change: when you have aligned the text.
PHONEME_ROOT: Folders = {}

## Skin

# Folder of the captured skin: `<folder>/<shot>/<shot>.npy` (float32, frames x vertices x 3), `.pc2`, or a Maya nCache
# (`.xml` with `.mc` or `.mcx`). The names of its sub-folders are the names of the shots.
# Type: {actor: folder}. Without it the shots are those of the tongue, or of jaw and eyes; such an actor trains in
# regression and is not deployed for the runtime.
# Change: always.
SKIN_CACHE_ROOT: Folders = {}

# Which channel of the skin's Maya caches is the face, when they hold several (say, head and tongue in one export). Files
# of other formats hold one animation and are read as they are.
# Type: {actor: channel}, the name as the cache's .xml has it (`headShape`).
# Change: when a message lists several channels of positions.
SKIN_CACHE_CHANNEL: NameByActor = {}

# The face at rest, with the vertices in the same order as the caches. It is the centre of the PCA, so that all
# coefficients zero mean this pose, and the base of the two pose deltas below. Without it the mean of the chosen poses
# is taken.
# Type: {actor: .npy file, (V, 3)}, in the units of the meshes.
# Change: give it whenever you have it; models without it have no well-defined rest.
SKIN_NEUTRAL_FPATH: Files = {}

# Another face at rest for the deployed model, which then moves around this one instead of SKIN_NEUTRAL_FPATH.
# Type: {actor: .npy file, (V, 3)}.
# Change: when the character to animate is a retouched or slightly different version of the captured face.
SKIN_NEUTRAL_INFERENCE_FPATH: Files = {}

# Displacement of every vertex from the neutral to softly opened lips. The runtime adds `lip_open_offset` times it.
# Type: {actor: .npy file, (V, 3)}; zeros when missing.
# Change: give it to be able to tune how closed the lips are at rest.
SKIN_LIP_OPEN_POSE_DELTA_FPATH: Files = {}

# Displacement of every vertex from the neutral to closed eyes. The runtime adds it for blinks and `eyelid_open_offset`.
# Type: {actor: .npy file, (V, 3)}; zeros when missing.
# Change: give it, or the deployed model cannot blink.
SKIN_EYE_CLOSE_POSE_DELTA_FPATH: Files = {}

# Pairs of vertices of the inner lip line, the n-th of "upper" above the n-th of "lower". LOSS_LIP_DIST_ALPHA compares
# their vertical distances with the truth. This short list does more for the lip sync than any other input: 5 to 10
# pairs from corner to corner, on the very edge where the lips meet.
# Type: {actor: .json file, {"upper": [vertex, …], "lower": [vertex, …]}}, lists of equal length; or .npy, (2, n).
# Change: give it whenever lips must close.
SKIN_LIP_DIST_VERTEX_LIST_FPATH: Files = {}

# Vertices at the top and bottom rim of each lip, from which the height of the lips is measured for
# LOSS_LIP_SIZE_ALPHA.
# Type: {actor: .json file, {"upper_lip": {"top": […], "bottom": […]}, "lower_lip": {"top": […], "bottom": […]}}}; or
# .npy, (2, 2, n).
# Change: when you switch LOSS_LIP_SIZE_ALPHA on.
SKIN_LIP_SIZE_VERTEX_LIST_FPATH: Files = {}

# One vertex on each upper and each lower lid, left eye first. Regression finds closed eyes with it
# (REMOVE_CLOSING_EYE), diffusion the border of the upper face (LOSS_EXP_SMOOTH_ALPHA).
# Type: {actor: .json file, {"upper": [left, right], "lower": [left, right]}}; or .npy, (2, 2).
# Change: give it when shots contain blinks.
SKIN_EYE_DIST_VERTEX_LIST_FPATH: Files = {}

# Triangles of the skin mesh, needed only to draw it and to write formats that have faces. They may be named or changed
# after training: deploying, inference and evaluation take those that are named here.
# Type: {actor: file}: .npy (F, 3) integers, .obj or .usd with the vertex order of the caches.
# Change: give it for pictures, videos and mesh exports.
SKIN_TRIANGLES_FPATH: Files = {}

## Tongue

# Folder of the captured tongue, laid out like SKIN_CACHE_ROOT with the same shot names. Without it the model gets a
# tongue of DEFAULT_TONGUE_PCA_SHAPE that does not move.
# Type: {actor: folder}.
# Change: when you have tongue animation.
TONGUE_CACHE_ROOT: Folders = {}

# Which channel of the tongue's Maya caches is the tongue, when they hold several. TONGUE_CACHE_ROOT may then be the
# folder of SKIN_CACHE_ROOT.
# Type: {actor: channel}, the name as the cache's .xml has it (`tongueShape`).
# Change: when a message lists several channels of positions.
TONGUE_CACHE_CHANNEL: NameByActor = {}

# The tongue at rest; centre of the tongue's PCA and the pose onto which its rigid vertices are aligned.
# Type: {actor: .npy file, (Vt, 3)}.
# Change: give it together with TONGUE_CACHE_ROOT.
TONGUE_NEUTRAL_FPATH: Files = {}

# Another tongue at rest for the deployed model, as SKIN_NEUTRAL_INFERENCE_FPATH is for the skin.
# Type: {actor: .npy file, (Vt, 3)}.
# Change: when the deployed character's mouth differs from the captured one.
TONGUE_NEUTRAL_INFERENCE_FPATH: Files = {}

# Vertices at the root of the tongue that move only with the jaw. Their rigid motion is removed from the whole tongue
# before its PCA, which then describes the tongue's own shape.
# Type: {actor: .json or .npy file, [vertex, …]} or a mask with one 0 or 1 for each vertex; at least 4 that do not lie
# on one line.
# Change: give it when the tongue cache includes the motion of the jaw.
TONGUE_RIGID_VERTEX_LIST_FPATH: Files = {}

# Triangles of the tongue mesh, as SKIN_TRIANGLES_FPATH.
# Type: {actor: file}: .npy (F, 3) integers, .obj or .usd.
# Change: give it for pictures, videos and mesh exports.
TONGUE_TRIANGLES_FPATH: Files = {}

# Mesh that the skeleton of a group of curves moves, instead of a figure of bones, in films, the viewer, gltf and usd. Bones are matched
# to joints by name ("mixamorig:LeftArm" is LeftArm; SMPL-X has names of its own); rest poses and sizes may differ. It may be
# named or changed after training.
# Type: {actor: file}: .npz with vertices (V, 3), triangles (F, 3), bone_names (B), bone_parents (B), bone_heads (B, 3),
#   skin_bones (V, K), skin_weights (V, K); or .glb, .gltf with a skin.
# Change: give it to see a person instead of a stick figure.
BODY_MESH_FPATH: Files = {}

## Jaw

# Key points of the lower teeth at rest. The runtime finds the jaw's rotation and translation from their motion.
# Type: {actor: .npy file, (5, 3)}, in the units of the meshes.
# Change: give it together with JAW_ANIM_DATA_FPATH.
JAW_KEYPOINTS_NEUTRAL_FPATH: Files = {}

# Motion of these key points in every shot, as differences from the neutral ones.
# Type: {actor: .npz file, {shot: (frames, 5, 3) float32}}.
# Change: when the lower teeth should move.
JAW_ANIM_DATA_FPATH: Files = {}

## Eyes

# Rotation of both eyeballs in every shot: right then left eye, each about x (up and down) then y (to the sides).
# Type: {actor: .npz file, {shot: (frames, 2, 2) float32}}, degrees.
# Change: when the gaze should follow the performance.
EYE_ANIM_DATA_FPATH: Files = {}

# A recorded run of blinks, 0 open to 1 closed, at 30 frames a second; passed on to the deployed model.
# Type: {actor: .npy file, (n,) float32, 0 … 1}.
# Change: to replace the placeholder, which never blinks.
EYE_BLINK_KEYS_FPATH: Files = {}

# A recorded run of small eye movements that the runtime adds to the gaze (`saccade_strength`); its spread also scales
# the eye channel in training.
# Type: {actor: .npy file, (n, 2) float32}, degrees about x and y; 5000 rows are customary.
# Change: to replace the placeholder, which keeps the eyes still.
EYE_SACCADE_ROTATIONS_FPATH: Files = {}

## Curves

# Groups of named values per frame, with or without meshes: ARKit weights of a phone, the turn of a head, rig controls, the
# joints of a body. A group is a folder with one file for each shot, `<folder>/<shot>.csv` (a Live Link Face recording, or a
# header row of names), `.npz` (`values` (frames, columns), `names`, `fps`, optional `valid`), `.npy` (see CURVES_NAMES) or
# `.bvh` (a skeleton). Groups may share a folder: a Live Link recording serves "arkit" and "head" at once. Values that are
# not there (an empty cell, NaN, `valid` 0, frames listed in `<shot>_missing.npy` or `<shot>_missing_<group>_frames.npy`) are
# left out of everything. TARGET_CHANNELS chooses what is trained.
# Type: {actor: {group: folder}}; names of groups are yours, but for those of the face (skin, tongue, jaw, eye).
# Change: to train on curves.
CURVES_ROOT: GroupFolders = {}

# The columns of a group's `.npy` files; of other files, which of their columns are the group, in this order.
# Type: {actor: {group: [column, …]}}.
# Change: for `.npy`, or when a file holds more than the group.
CURVES_NAMES: GroupNames = {}

# Frame rate of a group's files, when it is not written in them and not CACHE_FPS. Shots are brought to CACHE_FPS.
# Type: {actor: {group: frames per second, > 0}}.
# Change: for `.csv` without times and `.npy` of another rate.
CURVES_FPS: GroupRates = {}

# What the columns of a group are, when it is not recognised by their names: weights are bounded (0 to 1, or "low" and
# "high"), angles are unwrapped, rotations are learned as matrices, whatever their form.
# Type: {actor: {group: "weights", "plain", "angle", "rotation" or "translation"}}, or in place of the word a dict {"kind":
#   word, "form": "XYZ" (any Euler order), "axis_angle", "quaternion" or "matrix", "unit": "degrees" or "radians", "low":
#   number, "high": number}.
# Change: when preprocessing prints a wrong kind.
CURVES_KIND: CurveKinds = {}

## Blendshapes

# Blendshapes of the skin, copied into the deployed model for hosts that want weights (ARKit and the like) instead of
# vertices.
# Type: {actor: .npz file}: poseNames ("neutral" first), neutral, one delta per pose, frontalMask, rig_version.
# Change: when blendshape weights are wanted; give all four blendshape files then.
BLENDSHAPE_SKIN_FPATH: Files = {}

# How the weights of the skin blendshapes are solved: regularisation, active, cancelling and symmetric poses.
# Type: {actor: .json file, {"blendshape_params": {…}}}.
# Change: together with BLENDSHAPE_SKIN_FPATH.
BLENDSHAPE_SKIN_CONFIG_FPATH: Files = {}

# Blendshapes of the tongue, as BLENDSHAPE_SKIN_FPATH without a frontalMask.
# Type: {actor: .npz file}.
# Change: together with BLENDSHAPE_SKIN_FPATH.
BLENDSHAPE_TONGUE_FPATH: Files = {}

# How the weights of the tongue blendshapes are solved.
# Type: {actor: .json file, {"blendshape_params": {…}}}.
# Change: together with BLENDSHAPE_TONGUE_FPATH.
BLENDSHAPE_TONGUE_CONFIG_FPATH: Files = {}

## Properties of the shots

# The emotions of the data set. A shot has the one whose name is a word of the shot's name ("cp24_joy" is joy), else
# "neutral"; their order is the order of the deployed model's emotion inputs.
# Type: list of unique names, at least one.
# Change: when shots are acted in several emotions.
SHOT_EMOTION_NAMES: EmotionNames = ["neutral"]

# The emotion of single shots whose name does not contain it, or contains the wrong one.
# Type: list of (actor, shot, emotion); the emotion is one of SHOT_EMOTION_NAMES.
# Change: when preprocessing prints a wrong emotion for a shot.
SHOT_EMOTION_MAP: list[ShotEmotion] = []

# The language spoken in single shots, "en" for the others. It goes into the clips template that preprocessing prints,
# and from there into CLIPS, where it chooses the phoneme set (PHONEME_FORCING_LANGS).
# Type: {actor: {shot: language}}, or {shot: language} for all actors; languages as "en", "zh".
# Change: when not all speech is English.
SHOT_LANGUAGE_MAP: LanguageMap = {}

# Divides the measured scale of a channel, so that its normalised values become this many times larger.
# Type: {actor: {channel: factor > 0}}; channels skin, tongue, jaw, eye; 1.0 for those not named.
# Change: seldom; when one channel of an actor learns much worse than the others and RESCALE_TARGET_CHANNEL_DATA is on.
TRANSFORM_SCALE: ScaleByActor = {}

## Checks of the data

# Checks of the data set doctor that this data fails although it is correct: an unusual character may look wrong. Their
# findings are reported as info instead of stopping run_preproc.py and run_train.py. What cannot work is always refused.
# Type: list of names of checks as they are printed, such as "geometry.units"; "*" matches any part: "geometry.*", "*".
# Change: after you have looked at the findings and the data is correct.
SKIP_DATA_CHECKS: list[Word] = []
