"""A diffusion transformer that hears both people: some minutes on two cores, nothing to download."""

RUN_NAME = "demo-conversation"
NETWORK_TYPE = "diffusion"
NETWORK_NAME = "diffusion_transformer"
TARGET_CHANNELS = ["arkit", "head", "body"]
TARGET_FPS = 30.0

# The audio encoder is a log-mel spectrogram with trainable layers: it needs no download. A nod comes 0.4 s after what it answers:
# sounds are heard half a second around each frame.
NETWORK_HYPER_PARAMS = {
    "audio_encoder": "melspec",
    "width": 128,
    "num_layers": 3,
    "num_heads": 4,
    "dropout": 0.1,
    "reach": 15,
}

# Dialogues that share no line with the others; the report measures on them.
VALIDATION_CLIPS = "heldout_*"

# A short training on parts of four seconds, all of one length: on a CPU every new length costs time of its own. What the
# sounds say is learned near pure noise, where nothing else tells it.
SUBSEGMENT_MIN_FRAME = 120
SUBSEGMENT_MAX_FRAME = 120
BATCH_SIZE = 6
GRADIENT_ACCUMULATION_STEPS = 1
NUM_EPOCHS = 130
LEARNING_RATE = 3e-3
LR_MIN = 1e-5
LR_WARMUP_INIT = 1e-5
LR_WARMUP_EPOCHS = 5
GRADIENT_CLIP_NORM = 1.0
EMA_DECAY = 0.995
STEP_BIAS = 2.0
VALIDATION_PERIOD = 65
LOG_PERIOD = 100

# Six values of a head among more than a hundred: they count as much as the face and the body do.
LOSS_CURVES_ALPHA = {"head": 16.0}

# One voice each, and sounds that are as long as they are: nothing is shifted.
AUGMENT = {"pitch_shift": None}
