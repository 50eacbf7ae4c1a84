"""Draws poses to a dialogue that was not trained on."""

ACTOR_NAME = "ada"
AUDIO_PATH = "/datasets/conversation/ada/audio/heldout_holiday.wav"
