"""A guide for the demo conversation: where the bodies rest and gesture, a pose a second, for the transformer to move through."""

RUN_NAME = "demo-conversation-guide"
NETWORK_TYPE = "guide"
TARGET_CHANNELS = ["body"]
TARGET_FPS = 30.0
GUIDE_FPS = 1.0

NETWORK_HYPER_PARAMS = {"audio_encoder": "melspec", "codebook_size": 32, "depth": 2, "width": 96, "num_layers": 2}

VALIDATION_CLIPS = "heldout_*"

# Parts of eight seconds: poses change from turn to turn.
SUBSEGMENT_MIN_FRAME = 240
SUBSEGMENT_MAX_FRAME = 240
BATCH_SIZE = 8
GUIDE_CODEC_EPOCHS = 12
NUM_EPOCHS = 20
LR_WARMUP_EPOCHS = 1
LEARNING_RATE = 1e-3
LOG_PERIOD = 20
VALIDATION_PERIOD = 2
AUGMENT = {"pitch_shift": None}
