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

NUM_EPOCHS = 12
SEQ_STRIDE = 2
