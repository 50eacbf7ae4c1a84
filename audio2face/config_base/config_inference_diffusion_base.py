"""config_inference.py for diffusion: post-processing of the deployed model, and what `run_inference.py` animates."""

from typing import Literal

from audio2face.config.kinds import (
    AudioPath,
    Count,
    CountOrZero,
    DiffusionMode,
    EmotionOrTimeline,
    File,
    Name,
    NotNegative,
    Seed,
    Share,
    Switch,
    Text,
)
from audio2face.config.nested import DiffusionPost, EditRequest, Guidance

# Keys that are imported below are those of both methods: their manual and default stand in config_inference_common.py,
# and so do the entries of CONFIG that come from there.

## Post-processing of the deployed model

from audio2face.config_base.config_inference_common import mouth_and_eyes, upper_and_lower_face

# What the runtime does with the network's output. It is written into model_config.json of the deployed model, where it
# can still be edited by hand. The ranges are those that the runtime accepts. An entry with the name of an actor is a
# dict of values for this actor alone, like "claire": {"skin_strength": 1.0}.
CONFIG: DiffusionPost = {**upper_and_lower_face, **mouth_and_eyes}

## What is animated

from audio2face.config_base.config_inference_common import AUDIO_PATH, HEAD_RUN

# The sound of the person whom the actor talks to, for a "diffusion_transformer" that was trained on conversations
# (PARTNER_AUDIO_ROOT or AUDIO_CHANNELS in config_dataset.py). Both sounds start at the same moment. Without it a file of two
# channels is taken as a conversation, as AUDIO_CHANNELS said in training, else with the actor in channel 0; any other file as a
# monologue.
# Type: file, list of as many files as AUDIO_PATH names, or a folder of files with the names of those; None.
# Change: when each person was recorded in a file.
PARTNER_AUDIO_PATH: AudioPath = None

# Whether the two voices change their roles: the face says what the partner says, and hears the actor.
# Type: True or False.
# Change: to see the other side of a conversation.
SWAP_ROLES: Switch = False

# Whether both sides of each conversation are animated; with "mp4" among OUTPUT_FORMATS also in one film, side by side.
# Type: True or False.
# Change: to see two people talk.
BOTH_SIDES: Switch = False

# Actor who plays the other side with BOTH_SIDES.
# Type: one of ACTOR_NAMES; None for the other one of a model of two actors, else ACTOR_NAME.
# Change: in models of more actors.
PARTNER_ACTOR_NAME: Name | None = None

# Keyframes that the animation goes through, of a "diffusion_transformer": values of groups of curves at some frames, as a guide
# makes them (`<sound>_keys.npz`) or a person. See docs/conversations.md for the arrays of such a file.
# Type: .npz file; for several sounds a folder of files <name>_keys.npz; None.
# Change: to hold single poses, or to try other keyframes than a guide's.
KEYFRAMES_PATH: File | None = None

# A guide that draws the keyframes, where KEYFRAMES_PATH has none: a training run with NETWORK_TYPE = "guide". They are written
# beside the animation, to be looked at, changed and given as KEYFRAMES_PATH. Takes differ in their keyframes, too. An edit
# (EDIT) keeps to its file and takes neither.
# Type: full name of a training run in the project's TRAIN_OUTPUT_ROOT; None.
# Change: for a body or a head that has ideas of its own.
GUIDE_RUN: Name | None = None

# From which of its codes that guide draws: the likeliest ones that together are as likely as this.
# Type: number, 0 < x <= 1; None for TOP_P of the guide's own config_inference.
# Change: lower for calmer, more usual keyframes; 1 for all that occurs.
GUIDE_TOP_P: Share | None = None

# How even the chances of its codes are made before one is drawn: below 1 the likely ones become likelier.
# Type: number >= 0; 0 always takes the likeliest code; None for TEMPERATURE of the guide's own config_inference.
# Change: as GUIDE_TOP_P.
GUIDE_TEMPERATURE: NotNegative | None = None

# Actor whose face is animated: the mesh.
# Type: one of ACTOR_NAMES; None when the model has only one.
# Change: for models of several actors.
ACTOR_NAME: Name | None = None

# Actor whose way of moving is used.
# Type: one of ACTOR_NAMES; None for the same as ACTOR_NAME.
# Change: to let one actor's face move like another's.
CONDITION: Name | None = None

# Emotion of the face, for the whole sound or over time.
# Type: an emotion of the model; {emotion: weight}; a list of one number per emotion of the model, in its order (as
#   `emotions` in network_info.json); a timeline [(seconds, {emotion: weight}), …], interpolated; or None for the default emotion.
# Change: to the mood of the speech.
EMOTION_LABEL: EmotionOrTimeline = None

# How it is computed. "offline": the whole sound at once; "streaming": in windows with a carried state;
# "streaming_stateless": the same with the state as input and output, as it is exported;
# "streaming_stateless_output_delta": with differences from the mean face as output, as it is deployed. The last two
# also run as "…_onnx" in onnxruntime and as "…_trt" in TensorRT.
# Type: one of these eight names; None is "offline".
# Change: "streaming_stateless_output_delta_onnx" to try what will be deployed.
INFERENCE_MODE: DiffusionMode | None = None

# Takes of the same sound, each with its own noise.
# Type: whole number >= 1.
# Change: to choose the best of several.
NUM_SAMPLES: Count = 1

## Diffusion

# Which of the steps that were trained are used, also in the deployed model: "2" for two, "10" for ten, evenly spaced,
# "ddim5" for five at a fixed stride, "3,4" for three of the first half and four of the second. None takes
# NUM_DIFFUSION_STEPS evenly spaced ones. "" takes all of them in run_inference.py; exported networks, which would grow
# with each, then have NUM_DIFFUSION_STEPS.
# Type: text as above, or None; every section must hold as many steps as it keeps.
# Change: more steps are livelier and slower; 2 is enough for most.
TIMESTEP_RESPACING: Text | None = None

# Number of steps, when TIMESTEP_RESPACING is None; otherwise it may only repeat the number that TIMESTEP_RESPACING
# gives.
# Type: whole number >= 1.
# Change: see TIMESTEP_RESPACING.
NUM_DIFFUSION_STEPS: Count = 2

# Noisiest steps that are skipped; the first step used then starts from the mean face with its share of noise.
# Type: whole number >= 0, less than the number of steps.
# Change: higher for calmer results.
SKIP_STEPS: CountOrZero = 0

# Whether steps add no new noise (DDIM).
# Type: True or False.
# Change: True for results that depend on the starting noise only.
USE_DDIM: Switch = False

# How a "diffusion_transformer" goes from step to step: "dpm" (DPM-Solver++, deterministic and of second order; a plain number
# of steps is even in log SNR), "ddim" (deterministic), "ddpm" (new noise in every step). In ten steps "dpm" keeps nearly all
# of the motion that the network knows of, the others about three quarters of its speed.
# Type: "dpm", "ddim", "ddpm", or None: "ddim" with USE_DDIM, else "dpm".
# Change: to compare.
SAMPLER: Literal["dpm", "ddim", "ddpm"] | None = None

# Noise to use instead of random numbers, so that different programs can be compared.
# Type: .npy file (steps + 1, frames of a window, channels), or None.
# Change: for tests.
DETERMINISTIC_NOISE_PATH: File | None = None

# Seed of the noise.
# Type: whole number >= 0.
# Change: for another take.
RNG_SEED_INFERENCE: Seed = 42

# How strongly the sound, the partner, and the style (actor and emotion) count in a "diffusion_transformer": 1 as it was trained,
# 0 not at all, above 1 more strictly and with less variety. Scales of 1 take one pass of the network a step, others up to four.
GUIDANCE: Guidance = {
    # Of the sound.
    # Type: number >= 0.
    # Change: 2 for lips that are surer and takes that differ less; below 1 for more variety.
    "audio": 1.0,
    # Of the partner's sound, where a partner is heard.
    # Type: number >= 0.
    # Change: 2 or 3 when the face listens too weakly; 0 to compare with a face that hears nobody.
    "partner": 1.0,
    # Of the actor and the emotion.
    # Type: number >= 0.
    # Change: higher for stronger traits of an actor.
    "style": 1.0,
}

## Editing

# An animation that is edited by a "diffusion_transformer": frames and parts that stay are copied from the file, the rest is
# made anew from AUDIO_PATH, so that it fits both. The result has the file's format and frame numbers.
EDIT: EditRequest = {
    # The animation: of the skin a Maya cache, .pc2 or .npy; of curves a Live Link recording or another table (.csv, .npz), or
    # .bvh; of both glTF (.glb, .gltf) and USD. The other keys count when it is set.
    # Type: file, or None.
    # Change: to edit.
    "file": None,
    # What is made anew. Empty: everything but the keys and the parts that stay.
    # Type: list of frames of the scene "90-250" (both ends included), "120", or seconds "12.5s-14s".
    # Change: to the stretches that are to change.
    "regenerate": [],
    # Parts that may change; None for all.
    # Type: list of "skin", "mouth", "brows", "eyes", groups of curves, columns of groups.
    # Change: to change the mouth alone, say.
    "parts": None,
    # Parts that stay.
    # Type: as parts.
    # Change: when it is easier to say what stays.
    "keep": [],
    # Poses that stay inside what is made anew: a frame, or a pose at another frame.
    # Type: list of frames, and of pairs (frame of the file, frame where its pose stands).
    # Change: to hold single poses, or to move them.
    "keys": [],
    # Number of the file's first frame.
    # Type: whole number; None for what the file says, else 0.
    # Change: when the scene begins elsewhere.
    "first_frame": None,
    # How long what the file has beyond the model's components takes to fade into what is made anew.
    # Type: number >= 0, seconds.
    # Change: longer for softer seams.
    "blend_seconds": 0.2,
    # Factor on the turns of a group called "head" where they are made anew.
    # Type: number >= 0.
    # Change: below 1 for a calmer head.
    "head_scale": 1.0,
    # Whether a film of the file beside the result is written, with the sound, where `pip install -e '.[video]'` was done.
    # Type: True or False.
    # Change: False to save its time.
    "film": True,
}

## Exported network

# Whether the exported network takes an emotion for each frame instead of one for the window.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_PER_FRAME_EMO_LABEL: Switch = True

# Whether the exported network takes its noise as an input instead of drawing it.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_EXTERNAL_NOISE_INPUT: Switch = True

# Whether the exported network outputs differences from the mean face in the units of the data, instead of positions.
# Type: True; training refuses False.
# Change: never: the runtime loads no other network.
USE_DELTA_OUTPUT: Switch = True

## Output

from audio2face.config_base.config_inference_common import INFERENCE_OUTPUT_ROOT, OUTPUT_MAYA_CACHE, OUTPUT_NPY_FILE, OUTPUT_FORMATS, OUTPUT_FPS, APPLY_POSTPROCESSING  # fmt: skip
