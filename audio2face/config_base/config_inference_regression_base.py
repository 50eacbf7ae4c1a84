"""config_inference.py for regression: post-processing of the deployed model, and what `run_inference.py` animates."""

from audio2face.config.kinds import EmotionOrTimeline, Name, RegressionMode
from audio2face.config.nested import RegressionPost

# Keys that are imported below are those of both methods: their manual and default stand in config_inference_common.py,
# and so do the entries of CONFIG that come from there.

## Post-processing of the deployed model

from audio2face.config_base.config_inference_common import mouth_and_eyes, upper_and_lower_face

# What the runtime does with the network's output. It is written into model_config.json of the deployed model, where it
# can still be edited by hand. The ranges are those that the runtime accepts. An entry with the name of an actor is a
# dict of values for this actor alone, like "claire": {"skin_strength": 1.0}.
CONFIG: RegressionPost = {
    **upper_and_lower_face,
    "upper_face_smoothing": 0.001,
    # Shot whose implicit emotion is used: the look that the network learned for it. None takes the first shot.
    # Type: name of a shot of the training, or None.
    # Change: to a shot and frame with a calm face that you like.
    "source_shot": None,
    # Frame of that shot. None takes frame 0.
    # Type: whole number >= 0, or None.
    # Change: together with source_shot.
    "source_frame": None,
    **mouth_and_eyes,
}

## What is animated

from audio2face.config_base.config_inference_common import AUDIO_PATH, HEAD_RUN

# Actor whose face is animated.
# Type: one of ACTOR_NAMES; None when the model has only one.
# Change: for models of several actors.
ACTOR_NAME: Name | None = None

# Emotion of the face, for the whole sound or over time.
# Type: an emotion of the model; {emotion: weight}; a list of one number per emotion of the model, in its order (as
#   explicit_emotions in network_info.json); a timeline [(seconds, {emotion: weight}), …], interpolated; or None for the
#   model's default emotion.
# Change: to the mood of the speech.
EMOTION_LABEL: EmotionOrTimeline = None

# How it is computed: "offline" with torch, "offline_onnx" with the exported network.onnx in onnxruntime.
# Type: "offline" or "offline_onnx".
# Change: "offline_onnx" to try what will be deployed.
INFERENCE_MODE: RegressionMode = "offline"

## Output

from audio2face.config_base.config_inference_common import INFERENCE_OUTPUT_ROOT, OUTPUT_MAYA_CACHE, OUTPUT_NPY_FILE, OUTPUT_FORMATS, OUTPUT_FPS, APPLY_POSTPROCESSING  # fmt: skip
