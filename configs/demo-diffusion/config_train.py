"""Diffusion on the demo data set: a few minutes on two cores, nothing to download."""

RUN_NAME = "demo-diffusion"
NETWORK_TYPE = "diffusion"
NETWORK_NAME = "diffusion_rnn_pca"
NETWORK_HYPER_PARAMS = {"audio_encoder": "melspec"}

TARGET_FPS = 30.0
# Six frames of a window are a whole number of samples, so that the runtime shows frame 0.
STREAMING_CFG = {"30": {"left_truncate": 6, "block_frame_size": 15, "right_truncate": 9}}

# Many short pieces train faster than few long ones, and noisy steps teach more of the sound than clean ones.
SUBSEGMENT_MAX_FRAME = 120
BATCH_SIZE = 8
GRADIENT_ACCUMULATION_STEPS = 1
STEP_BIAS = 3.0
AUGMENT = {"pitch_shift": None}

NUM_EPOCHS = 110
LEARNING_RATE = 1e-3
LR_WARMUP_INIT = 2e-4
LR_WARMUP_EPOCHS = 2
GRADIENT_CLIP_NORM = 1.0
EMA_DECAY = 0.99

LOSS_LIP_DIST_ALPHA = 2e-3
LOSS_LIP_DIST_EXP = 1.0
LOSS_EXP_SMOOTH_ALPHA = 1.0
