"""Regression on the demo data set's curves: about a minute on two cores, nothing to download."""

RUN_NAME = "demo-curves"
NETWORK_TYPE = "regression"
TARGET_CHANNELS = ["arkit", "head"]

# The audio encoder is a log-mel spectrogram with a trainable layer: it needs no download and no further package.
NETWORK_HYPER_PARAMS = {
    "use_w2v_features": False,
    "use_autocorr_features": False,
    "use_melspec_features": True,
}

LOSS_PHONEME_ALPHA = None
LOSS_PHONEME_MOTION_ALPHA = None

# A short training: large steps that shrink to nothing, and the average of the weights on the way.
NUM_EPOCHS = 10
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
LR_SCHEDULE = "cosine"
LR_STEP_GAMMA = 1.0
WEIGHT_DECAY = 0.05
EMA_DECAY = 0.998

# Emotion is known here: what is left per frame (blinks, gaze, the head's sway) should not be memorised.
EMO_LR_MULT = 0.0
LOSS_EMO_REG_ALPHA = None

# Where the face is matters as much as how it moves.
LOSS_MOTION_ALPHA = 1.0
