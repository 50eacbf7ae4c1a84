"""Animates one side of a dialogue that was not trained on: a film, and arrays to compare."""

ACTOR_NAME = "ada"
AUDIO_PATH = "/datasets/conversation/ada/audio/heldout_holiday.wav"
OUTPUT_FORMATS = ["mp4", "bvh", "npy"]
