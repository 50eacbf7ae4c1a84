"""Animates a sentence that was not trained on."""

ACTOR_NAME = "demo"
EMOTION_LABEL = "neutral"
AUDIO_PATH = "/datasets/demo/demo/heldout/audio/heldout.wav"
OUTPUT_NPY_FILE = True

# The network's own output, to be compared with the truth: no smoothing, offsets and strengths of the runtime.
APPLY_POSTPROCESSING = False
