"""Animates a sentence that was not trained on."""

ACTOR_NAME = "demo"
EMOTION_LABEL = "neutral"
AUDIO_PATH = "/datasets/demo/demo/heldout/audio/heldout.wav"
OUTPUT_FORMATS = ["npy"]
