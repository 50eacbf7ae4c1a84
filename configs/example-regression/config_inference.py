"""Post-processing of the deployed model, and what run_inference.py animates."""

CONFIG = {
    "source_shot": "cp1_neutral",
    "source_frame": 220,
}

ACTOR_NAME = "claire"
EMOTION_LABEL = "neutral"
AUDIO_PATH = "/datasets/Audio2Face-3D-Dataset-v1.0.0-claire/data/claire/audio/eg1_neutral.wav"
