"""Keys of config_inference.py that several methods share, with the same default and manual.

config_inference_regression_base.py and those of other methods import them among their own keys.
"""

from audio2face.config.kinds import AudioPath, Folder, FrameRate, Name, OutputFormats, Switch

## Post-processing of the deployed model

# Entries of CONFIG, which is put together from these two dicts; regression has two of its own between them.
upper_and_lower_face: dict[str, float] = {
    # Factor on the samples of the sound. The runtime ignores it in diffusion models unless the host sets it.
    # Type: number.
    # Change: higher for quiet recordings.
    "input_strength": 1.3,
    # Smoothing of the upper face in time.
    # Type: number, 0 … 0.1, seconds (half-life).
    # Change: higher against trembling brows.
    "upper_face_smoothing": 0.003,
    # Smoothing of the lower face in time.
    # Type: number, 0 … 0.1, seconds (half-life).
    # Change: higher against jitter, lower when fast speech looks lazy.
    "lower_face_smoothing": 0.0023,
    # Factor on the motion of the upper face.
    # Type: number, 0 … 2.
    # Change: to taste.
    "upper_face_strength": 1.0,
    # Factor on the motion of the lower face.
    # Type: number, 0 … 2.
    # Change: to taste; lower when the mouth exaggerates.
    "lower_face_strength": 1.7,
    # Height of the border between upper and lower face.
    # Type: number, 0 … 1, share of the neutral's height from below.
    # Change: so that it lies between mouth and eyes of your mesh.
    "face_mask_level": 0.6,
    # Width of the transition at this border.
    # Type: number, 0.001 … 0.5, share of the neutral's height.
    # Change: larger when a seam shows.
    "face_mask_softness": 0.0085,
}

mouth_and_eyes: dict[str, float] = {
    # Factor on all motion of the skin.
    # Type: number, 0 … 2.
    # Change: to taste.
    "skin_strength": 1.1,
    # Factor on blinks.
    # Type: number, 0 … 2.
    # Change: lower when lids close into the eyeball.
    "blink_strength": 1.0,
    # Factor on the motion of the lower teeth.
    # Type: number, 0 … 2.
    # Change: to taste.
    "lower_teeth_strength": 1.3,
    # Lower teeth up (+) or down (-).
    # Type: number, -3 … 3, units of the mesh.
    # Change: with the mesh; these defaults are for centimetres.
    "lower_teeth_height_offset": -0.1,
    # Lower teeth forward (+) or back (-).
    # Type: number, -3 … 3, units of the mesh.
    # Change: with the mesh.
    "lower_teeth_depth_offset": 0.25,
    # Lips more open (+) or more closed (-).
    # Type: number, -0.2 … 0.2, times SKIN_LIP_OPEN_POSE_DELTA_FPATH.
    # Change: until lips just meet on m, b and p.
    "lip_open_offset": -0.05,
    # Factor on the motion of the tongue.
    # Type: number, 0 … 3.
    # Change: to taste.
    "tongue_strength": 1.5,
    # Tongue up (+) or down (-).
    # Type: number, -3 … 3, units of the mesh.
    # Change: with the mesh.
    "tongue_height_offset": 0.2,
    # Tongue forward (+) or back (-).
    # Type: number, -3 … 3, units of the mesh.
    # Change: with the mesh; back when it comes through the teeth.
    "tongue_depth_offset": -0.3,
    # Factor on the gaze that the network predicts.
    # Type: number, 0 … 2.
    # Change: lower for a steadier gaze.
    "eyeballs_strength": 1.0,
    # Factor on the small eye movements that are added.
    # Type: number, 0 … 2.
    # Change: 0 when the host moves the eyes.
    "saccade_strength": 0.9,
    # Right eye, up and down.
    # Type: number, -10 … 10, degrees.
    # Change: until the character looks straight ahead.
    "right_eye_rot_x_offset": 0.0,
    # Right eye, to the sides.
    # Type: number, -10 … 10, degrees.
    # Change: until the character looks straight ahead.
    "right_eye_rot_y_offset": -2.0,
    # Left eye, up and down.
    # Type: number, -10 … 10, degrees.
    # Change: until the character looks straight ahead.
    "left_eye_rot_x_offset": 0.0,
    # Left eye, to the sides.
    # Type: number, -10 … 10, degrees.
    # Change: until the character looks straight ahead.
    "left_eye_rot_y_offset": 2.0,
    # How far the lids close at rest.
    # Type: number, -1 … 1, times SKIN_EYE_CLOSE_POSE_DELTA_FPATH.
    # Change: until the eyes look awake.
    "eyelid_open_offset": 0.06,
    # Row of the saccade table to start from.
    # Type: number, 0 … 4999.
    # Change: so that several characters do not move their eyes alike.
    "eye_saccade_seed": 0,
}

## What is animated

# Sound to animate.
# Type: wav, flac, aif, ogg, opus or mp3 file, a list of them, or a folder of them; None when it is passed as
# `run_inference.py --audio`.
# Change: always.
AUDIO_PATH: AudioPath = None

# A second training run whose groups of curves join those of this one: the turn of a head, say, that was learned from other
# recordings. It hears the same sound, at its own rate; its actor is the one of the same name, or its only one. In an edit it
# makes its groups anew; it must then be a "diffusion_transformer" of the same rate.
# Type: full name of a training run in TRAIN_OUTPUT_ROOT, or None.
# Change: when the face comes from one recording and head or body from another.
HEAD_RUN: Name | None = None

## Output

# Folder in which the run's folder is made.
# Type: folder.
# Change: seldom; move A2F_WORKSPACE_ROOT instead.
INFERENCE_OUTPUT_ROOT: Folder = "/workspace/output_inference"

# Write skin and tongue as Maya nCaches (.xml and .mc). Of an actor without a face mesh its curves are written instead: as
# .npz, and as a Live Link .csv and a .bvh where there are weights with ARKit's names and a skeleton.
# Type: True or False.
# Change: False when you do not use Maya.
OUTPUT_MAYA_CACHE: Switch = True

# Write all channels as .npy arrays in the units of the data.
# Type: True or False.
# Change: True to continue in Python.
OUTPUT_NPY_FILE: Switch = False

# Formats to write, in place of the two keys above. None leaves it to them.
# Type: list of "maya", "npy", "pc2", "arkit_csv", "json", "npz", "bvh", "usd", "gltf", "mp4", or None. docs/exports.md
# lists what each one needs.
# Change: when you need another format than Maya's.
OUTPUT_FORMATS: OutputFormats | None = None

# Frames a second of what is written, in place of the model's: meshes, curves and weights are interpolated linearly,
# rotations along the shortest way. The network's own output (`.npy` without an ending) keeps the model's.
# Type: number > 0 and <= 1000, or None for the model's.
# Change: to the rate of your scene, such as 24, 25, 29.97 or 48.
OUTPUT_FPS: FrameRate | None = None

# Whether the runtime's post-processing (CONFIG) is applied to what is written.
# Type: True or False.
# Change: False for the network's own output, without smoothing, offsets and strengths.
APPLY_POSTPROCESSING: Switch = True
