"""Animates both sides of a dialogue that was not trained on: bodies for other programs, and arrays."""

ACTOR_NAME = "ada"
BOTH_SIDES = True
AUDIO_PATH = "/datasets/conversation/ada/audio/heldout_holiday.wav"
OUTPUT_FORMATS = ["npz", "bvh"]
