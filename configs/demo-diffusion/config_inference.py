"""Animates the sentence that the training never heard."""

ACTOR_NAME = "demo"
EMOTION_LABEL = "neutral"
AUDIO_PATH = "/datasets/demo/demo/heldout/audio/heldout.wav"
OUTPUT_NPY_FILE = True
