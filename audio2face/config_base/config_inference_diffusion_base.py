"""config_inference.py for diffusion: post-processing of the deployed model, and what `run_inference.py` animates."""

## Post-processing of the deployed model

# What the runtime does with the network's output. It is written into model_config.json of the deployed model, where it
# can still be edited by hand. The ranges are those that the runtime accepts. An entry with the name of an actor is a dict of
# values for this actor alone, like "claire": {"skin_strength": 1.0}.
CONFIG = {
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
# Type: wav, flac, aif, ogg, opus or mp3 file, a list of them, or a folder of them; None when `run_inference.py --audio` names it.
# Change: always.
AUDIO_PATH = None

# Actor whose face is animated: the mesh.
# Type: one of ACTOR_NAMES; None when the model has only one.
# Change: for models of several actors.
ACTOR_NAME = None

# Actor whose way of moving is used.
# Type: one of ACTOR_NAMES; None for the same as ACTOR_NAME.
# Change: to let one actor's face move like another's.
CONDITION = None

# Emotion of the face, for the whole sound or over time.
# Type: an emotion of the model; a list of one number per emotion of the model, in its order (as `emotions` in
#   network_info.json); a timeline [(seconds, {emotion: weight}), …], interpolated; or None for the default emotion.
# Change: to the mood of the speech.
EMOTION_LABEL = None

# How it is computed. "offline": the whole sound at once; "streaming": in windows with a carried state;
# "streaming_stateless": the same with the state as input and output, as it is exported;
# "streaming_stateless_output_delta": with differences from the mean face as output, as it is deployed. The last two
# also run as "…_onnx" in onnxruntime and as "…_trt" in TensorRT.
# Type: one of these eight names; None is "offline".
# Change: "streaming_stateless_output_delta_onnx" to try what will be deployed.
INFERENCE_MODE = None

# Takes of the same sound, each with its own noise.
# Type: whole number >= 1.
# Change: to choose the best of several.
NUM_SAMPLES = 1

## Diffusion

# Which of the steps that were trained are used, also in the deployed model: "2" for two, "10" for ten, evenly spaced,
# "ddim5" for five at a fixed stride, "3,4" for three of the first half and four of the second. None takes
# NUM_DIFFUSION_STEPS evenly spaced ones. "" takes all of them in run_inference.py; exported networks, which would grow
# with each, then have NUM_DIFFUSION_STEPS.
# Type: text as above, or None; every section must hold as many steps as it keeps.
# Change: more steps are livelier and slower; 2 is enough for most.
TIMESTEP_RESPACING = None

# Number of steps, when TIMESTEP_RESPACING is None; otherwise it may only repeat the number that TIMESTEP_RESPACING
# gives.
# Type: whole number >= 1.
# Change: see TIMESTEP_RESPACING.
NUM_DIFFUSION_STEPS = 2

# Noisiest steps that are skipped; the first step used then starts from the mean face with its share of noise.
# Type: whole number >= 0, less than the number of steps.
# Change: higher for calmer results.
SKIP_STEPS = 0

# Whether steps add no new noise (DDIM).
# Type: True or False.
# Change: True for results that depend on the starting noise only.
USE_DDIM = False

# Noise to use instead of random numbers, so that different programs can be compared.
# Type: .npy file (steps + 1, frames of a window, channels), or None.
# Change: for tests.
DETERMINISTIC_NOISE_PATH = None

# Seed of the noise.
# Type: whole number >= 0.
# Change: for another take.
RNG_SEED_INFERENCE = 42

## Exported network

# Whether the exported network takes an emotion for each frame instead of one for the window.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_PER_FRAME_EMO_LABEL = True

# Whether the exported network takes its noise as an input instead of drawing it.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_EXTERNAL_NOISE_INPUT = True

# Whether the exported network puts out differences from the mean face in the units of the data, instead of positions.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_DELTA_OUTPUT = True

## Output

# Folder in which the run's folder is made.
# Type: folder.
# Change: seldom; move A2F_WORKSPACE_ROOT instead.
INFERENCE_OUTPUT_ROOT = "/workspace/output_inference"

# Write skin and tongue as Maya nCaches (.xml and .mc).
# Type: True or False.
# Change: False when you do not use Maya.
OUTPUT_MAYA_CACHE = True

# Write all channels as .npy arrays in the units of the data.
# Type: True or False.
# Change: True to go on in Python.
OUTPUT_NPY_FILE = False

# Formats to write, in place of the two keys above. None leaves it to them.
# Type: list of "maya", "npy", "pc2", "arkit_csv", "json", "usd", "gltf", "mp4", or None. docs/exports.md tells what
# each one needs.
# Change: when you need another format than Maya's.
OUTPUT_FORMATS = None

# Whether the runtime's post-processing (CONFIG) is applied to what is written.
# Type: True or False.
# Change: False for the network's own output, without smoothing, offsets and strengths.
APPLY_POSTPROCESSING = True
