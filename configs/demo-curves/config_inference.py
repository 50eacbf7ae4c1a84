"""Animates a sentence that was not trained on: a film of the built-in head, Live Link's table, and arrays to compare."""

ACTOR_NAME = "demo"
EMOTION_LABEL = "neutral"
AUDIO_PATH = "/datasets/demo/demo/heldout/audio/heldout.wav"
OUTPUT_FORMATS = ["mp4", "arkit_csv", "npy"]
