"""Regression on the demo data set: a few minutes on two cores, nothing to download."""

RUN_NAME = "demo"
NETWORK_TYPE = "regression"

# The pretrained phoneme model of the package `hama` hears the speech; the other front ends stay off.
NETWORK_HYPER_PARAMS = {
    "use_w2v_features": False,
    "use_autocorr_features": False,
    "use_phoneme_ctc_features": True,
}

# The sounds are what the features already say, so no phoneme loss on top.
LOSS_PHONEME_ALPHA = None
LOSS_PHONEME_MOTION_ALPHA = None

# A short training: large steps that shrink to nothing, half of the windows in each epoch.
NUM_EPOCHS = 12
LEARNING_RATE = 1e-3
LR_SCHEDULE = "cosine"
SEQ_STRIDE = 2
TIMESHIFT_GRID = 2

# Emotion is known here: what is left per frame (blinks, gaze) should not be learnt by heart.
EMO_LR_MULT = 0.0
