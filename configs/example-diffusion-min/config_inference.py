"""What run_inference.py animates; the post-processing of the deployed model is left at its defaults."""

CONDITION = "claire"
ACTOR_NAME = "claire"
EMOTION_LABEL = "neutral"
TIMESTEP_RESPACING = "2"
INFERENCE_MODE = "offline"
AUDIO_PATH = "/datasets/Audio2Face-3D-Dataset-v1.0.0-claire/data/claire/audio/eg1_neutral.wav"
