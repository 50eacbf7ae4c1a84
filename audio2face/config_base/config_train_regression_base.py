"""config_train.py for NETWORK_TYPE "regression": one window of sound in, one frame of the face out.

Regression is small, trains in minutes to hours, has no memory between frames and answers at once.
"""

from typing import Literal

from audio2face.config.kinds import Count, EmotionWeights, FrameRate, HyperParams, Names, NotNegative, Positive, RegressionMetric, Share, Switch, Weight, Word, Words  # fmt: skip
from audio2face.config.nested import RegressionAudio, RegressionAugment

# Keys that are imported below are those of both methods: their manual and default stand in config_train_common.py.

## Run

from audio2face.config_base.config_train_common import RUN_NAME, RUN_INFO, NETWORK_VERSION

# The method. It decides which other keys exist in config_train.py and config_inference.py.
# Type: "regression", "diffusion" or "guide".
# Change: "regression" is fast and steady; "diffusion" gives livelier faces and can vary them, and needs more training
#   and computing time.
NETWORK_TYPE: Literal["regression"] = "regression"

## Preprocessing runs

from audio2face.config_base.config_train_common import PREPROC_ROOT, PREPROC_RUN_NAME_FULL, SKIN_PCA_COEFFS_FPATH, SKIN_PCA_SHAPES_FPATH, TONGUE_PCA_COEFFS_FPATH, TONGUE_PCA_SHAPES_FPATH, DATA_INFO_FPATH, SHOT_LIST_FPATH  # fmt: skip

## Target

# What the network outputs. Mesh channels are PCA coefficients here.
# Type: list without repetition of "skin_coeffs", "tongue_coeffs", "jaw", "eye" and groups of CURVES_ROOT.
# Change: add the groups of curves to train on; for a face mesh leave the four, which the deployed model needs, and data that
#   is missing becomes a placeholder. Without a mesh name the groups alone.
TARGET_CHANNELS: Names = ["skin_coeffs", "tongue_coeffs", "jaw", "eye"]

# Frame rate at which the network is trained. Caches of another rate are resampled by time.
# Type: frames per second, > 0.
# Change: to the rate of your caches; a higher one invents no detail.
TARGET_FPS: FrameRate = 30.0

# Whether each channel is divided by its scale (and shifted to its origin) for training.
# Type: True or False.
# Change: seldom for regression, whose coefficients and lip distances are in the units of the meshes; True when the
#   meshes are not in centimetres.
RESCALE_TARGET_CHANNEL_DATA: Switch = False

## Audio

from audio2face.config_base.config_train_common import AUDIO_PREPROC_METHOD

# The window of sound for one frame. It is written into the deployed model.
AUDIO_PARAMS: RegressionAudio = {
    # Length of the window.
    # Type: whole number > 0, samples (8320 = 0.52 s).
    # Change: keep it for the pretrained encoders; longer windows see more context and delay live use.
    "buffer_len": 8320,
    # Place of the frame inside the window; what lies behind it is the look-ahead, the delay in live use.
    # Type: whole number, 0 … buffer_len, samples.
    # Change: larger for less delay and a less exact lip sync.
    "buffer_ofs": 4160,
    # Rate to which all sound is resampled.
    # Type: hertz; the pretrained encoders need 16000.
    # Change: never.
    "samplerate": 16000,
}

## Clips

from audio2face.config_base.config_train_common import CLIPS, VALIDATION_CLIPS, VALIDATION_PERIOD, PREVIEW_PERIOD

# Which measurement on VALIDATION_CLIPS decides which weights are best. They are kept in checkpoints/best.pt of the run.
# Type: "lip_vertex_error_mm", "mouth_opening_correlation", "mouth_opening_error_mm", "mouth_opening_relative_error",
#   "MSE", "CURVES", "jaw_open_correlation" (of a group with that weight); None: the lip vertex error, or without lip vertex lists the MSE, or of curves alone their error.
# Change: to judge by something else.
BEST_METRIC: RegressionMetric | None = None

from audio2face.config_base.config_train_common import EARLY_STOPPING_PATIENCE, EXPORT_WEIGHTS

## Augmentation

# Random changes of the training data.
AUGMENT: RegressionAugment = {
    # Frames and sound are shifted together by a random part of a frame, and the target is interpolated, so that the
    # network also learns the times between frames.
    # Type: number >= 0, frames (range of the shift); 0 switches it off.
    # Change: never above 1.
    "timeshift": 1.0,
}

from audio2face.config_base.config_train_common import AUG_MUTED_SHOTS, AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO, AUG_MUTED_TONGUE_IS_NEUTRAL, AUG_MUTED_AUDIO_NOISE_TYPE, AUG_MUTED_AUDIO_NOISE_SCALE  # fmt: skip

# Further factor on the noise, drawn from this range for every window of a silent clip and time shift.
# Type: (lowest, highest), numbers >= 0.
# Change: together with AUG_MUTED_AUDIO_NOISE_SCALE.
AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE: tuple[NotNegative, NotNegative] = (0.0, 1.0)

## Items

# Consecutive frames in one training item. Motion losses need two.
# Type: whole number >= 1, frames.
# Change: seldom; more frames make items slower, not better.
SEQ_LEN: Count = 2

# Distance between the starts of two items.
# Type: whole number >= 1, frames.
# Change: larger for shorter epochs on very much data.
SEQ_STRIDE: Count = 1

# Whether items with closed eyes are left out of the losses, so that the network does not learn to blink at random.
# Needs SKIN_EYE_DIST_VERTEX_LIST_FPATH.
# Type: True or False.
# Change: False when the shots have no blinks, or blinks must be learned.
REMOVE_CLOSING_EYE: Switch = True

# Eyes count as closed when the mean distance of the lids is not larger than this.
# Type: number >= 0, units of the meshes.
# Change: with the mesh's units, and to about a third of the open distance.
EYE_DIST_THRESHOLD: NotNegative = 0.35

## Phonemes

# Languages whose clips also teach the network to recognise phonemes, through a head that is not exported. It keeps the
# audio features close to what the mouth must do.
# Type: list of languages as in CLIPS; what exists depends on PHONEME_MODEL.
# Change: to the languages of your clips; [] or LOSS_PHONEME_ALPHA None switches it off.
PHONEME_FORCING_LANGS: Words = ["en"]

# Model that recognises the true phonemes for that: "charsiu" takes the published English or Chinese model from the model
# hub (a download), a hub name or a local folder takes a model of that kind, and "hama" takes the multilingual one of
# the optional `hama` package (no download).
# Type: "charsiu", "hama", a hub name, or a folder.
# Change: "hama" for machines without internet.
PHONEME_MODEL: Word = "charsiu"

# Softens the phoneme model's probabilities before they become targets.
# Type: number > 0; 1 as they are, larger is softer.
# Change: 2 or more when that model is often confidently wrong, for example on accented speech.
PHONEME_PROB_TEMPERATURE: Positive = 1.0

## Network

# The network.
# Type: "conv_w2v_autocorr".
# Change: when you added your own to audio2face/models/regression.
NETWORK_NAME: Word = "conv_w2v_autocorr"

# Its parameters. Of the five audio features at least one must be on; those that are on are used together.
NETWORK_HYPER_PARAMS: HyperParams = {
    # Features of wav2vec 2.0, pretrained on 960 hours of speech. The best choice for new voices and languages.
    # Type: True or False.
    # Change: False without internet or for a smaller, faster network.
    "use_w2v_features": True,
    # Autocorrelation of the windowed sound: pitch and formants, without any pretraining.
    # Type: True or False.
    # Change: seldom; it costs little.
    "use_autocorr_features": True,
    # A log-mel spectrogram with trainable layers; needs no download.
    # Type: True or False.
    # Change: True instead of wav2vec 2.0 when nothing pretrained may be used.
    "use_melspec_features": False,
    # A small pretrained phoneme recogniser, read from the optional `hama` package; needs no download. It is measured on
    # the training's own clips.
    # Type: True or False.
    # Change: True instead of wav2vec 2.0 on machines without internet, where log-mel is not good enough.
    "use_phoneme_ctc_features": False,
    # Features of Whisper, pretrained on 680,000 hours of speech in 99 languages: what its first blocks make of the window.
    # Type: True or False.
    # Change: True beside log-mel for voices and languages that are not in the data.
    "use_whisper_features": False,
    # Where wav2vec 2.0 comes from, or a HuBERT, WavLM, data2vec, UniSpeech or UniSpeech-SAT used in its place.
    # Hub models are kept under TORCH_CACHE_ROOT.
    # Type: hub name, local folder, or torchaudio's .pth of WAV2VEC2_BASE.
    # Change: to a folder on machines without internet.
    "w2v_model": "facebook/wav2vec2-base",
    # Whether wav2vec 2.0 keeps its pretrained weights. Frozen features are computed once and cached.
    # Type: True or False.
    # Change: False only with hours of data; training is many times slower then.
    "w2v_freeze": True,
    # Transformer layers of wav2vec 2.0 that are used, from the first on.
    # Type: whole number, 1 … 12.
    # Change: more layers are more phonetic and slower.
    "w2v_num_layers": 1,
    # Where Whisper comes from: OpenAI's of any size, or one that was trained further. Hub models are kept under
    # TORCH_CACHE_ROOT.
    # Type: hub name, or local folder with config.json and the weights.
    # Change: to a folder on machines without internet; "openai/whisper-tiny" or "openai/whisper-small" for less or more.
    "whisper_model": "openai/whisper-base",
    # The block of Whisper's encoder whose output is used; a list mixes those of several blocks with learned weights. Blocks
    # behind the last one are neither computed nor kept.
    # Type: whole number >= 1, or a list of such.
    # Change: seldom; middle blocks follow the mouth best, the last ones no better than log-mel.
    "whisper_layer": 3,
    # Whether Whisper keeps its pretrained weights. Frozen features are computed once and cached.
    # Type: True or False.
    # Change: False only with hours of data; training is many times slower then.
    "whisper_freeze": True,
    # The autocorrelation; the windows must fit into AUDIO_PARAMS["buffer_len"].
    "autocorr_params": {
        # Lags that are kept.
        # Type: whole number >= 1.
        # Change: never; the convolutions behind expect 32.
        "num_autocorr": 32,
        # Number of windows, the length of the feature in time.
        # Type: whole number >= 1.
        # Change: together with buffer_len; it must equal the other features' length (25 for 8320 samples).
        "num_windows": 25,
        # Length of a window.
        # Type: whole number >= 1, samples.
        # Change: seldom.
        "win_len": 640,
        # Distance between windows.
        # Type: whole number >= 1, samples.
        # Change: seldom.
        "win_stride": 320,
        # Pre-emphasis, the share of the sample before that is subtracted.
        # Type: number, 0 <= x < 1; 0 is off.
        # Change: seldom.
        "preemph": 0.0,
        # Whether each window's mean is removed.
        # Type: True or False.
        # Change: never.
        "remove_dc": True,
        # Shape of the window.
        # Type: "hanning", or None for a plain cut.
        # Change: never.
        "win_func": "hanning",
    },
    # Size of the implicit emotion, a learned vector for every training frame that holds what the sound does not determine.
    # The deployed model takes it from CONFIG's source_shot and source_frame.
    # Type: whole number >= 1.
    # Change: smaller when the face follows the sound too little.
    "implicit_emotion_len": 16,
    # Size to which the chosen emotion (one number per emotion) is embedded.
    # Type: whole number >= 1.
    # Change: larger for more than a dozen emotions.
    "explicit_emo_emb_len": 8,
}

# Deviation of the random numbers with which the implicit emotions start.
# Type: number >= 0.
# Change: seldom.
EMO_INIT_SIGMA: NotNegative = 0.01

from audio2face.config_base.config_train_common import PRETRAINED_NET_FPATH

## Optimisation

# Items in one step.
# Type: whole number >= 1.
# Change: larger on a strong GPU, with a larger LEARNING_RATE.
BATCH_SIZE: Count = 32

# Passes over the training data.
# Type: whole number >= 1.
# Change: fewer for tens of thousands of frames, more for one or two shots; watch speech that is not trained on.
NUM_EPOCHS: Count = 50

# Step size of Adam at the start.
# Type: number > 0.
# Change: halve it when the loss jumps.
LEARNING_RATE: Positive = 0.0002

from audio2face.config_base.config_train_common import LEARNING_RATE_SCALING

# The batch that LEARNING_RATE is meant for: BATCH_SIZE.
# Type: whole number >= 1; without effect when LEARNING_RATE_SCALING is "none".
# Change: when you have found LEARNING_RATE with another batch.
LEARNING_RATE_BATCH_SIZE: Count = 32

# Factor on the learning rate for the implicit emotions.
# Type: number >= 0; 0 keeps them at their random start.
# Change: smaller when training frames are fitted well and new speech is not.
EMO_LR_MULT: NotNegative = 1.0

# Factor on the learning rate after each epoch.
# Type: number, 0 < x <= 1.
# Change: with NUM_EPOCHS, so that the rate ends at a half to a fifth.
LR_STEP_GAMMA: Share = 0.994

# How the learning rate falls: "step" by LR_STEP_GAMMA only, "cosine" also along half a cosine to a fiftieth at the end.
# Type: "step" or "cosine".
# Change: "cosine" for a better fit to new speech in short trainings.
LR_SCHEDULE: Literal["step", "cosine"] = "step"

from audio2face.config_base.config_train_common import WEIGHT_DECAY, EMA_DECAY

## Losses

# Weight of the mean squared error of all channels.
# Type: number >= 0, or None for off.
# Change: it is the measure of the others; leave it at 1.
LOSS_MSE_ALPHA: Weight = 1.0

# Weight of the squared error of frame differences: motion as fast and as steady as the truth's.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher against jitter, lower when motion looks damped.
LOSS_MOTION_ALPHA: Weight = 10.0

# Weight of the regulariser that keeps the implicit emotion from changing between neighbouring frames.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher when training fits well but new speech moves the face too little.
LOSS_EMO_REG_ALPHA: Weight = 1.0

# Weight of the error of the lips' vertical distances: whether the mouth closes when it should. Needs
# SKIN_LIP_DIST_VERTEX_LIST_FPATH; the units are those of the meshes, squared.
# Type: number >= 0, or None for off.
# Change: higher when m, b and p do not close; ten thousand times higher for meshes in metres.
LOSS_LIP_DIST_ALPHA: Weight = 100.0

# How much more closed lips count than open ones: an error counts exp(-EXP x true distance).
# Type: number >= 0, per unit of the meshes; 0 counts all alike.
# Change: with the mesh's units; higher to look at closures only.
LOSS_LIP_DIST_EXP: NotNegative = 1.0

from audio2face.config_base.config_train_common import LOSS_LIP_DIST_EMO_WEIGHTS

# Weight of the error of the lips' heights, so that lips are pressed and not only moved. Needs
# SKIN_LIP_SIZE_VERTEX_LIST_FPATH.
# Type: number >= 0, or None for off.
# Change: try 100 when lips look stiff.
LOSS_LIP_SIZE_ALPHA: Weight = None

# Further weight of this loss per emotion.
# Type: {emotion: number >= 0}, 1 for those not named; or None.
# Change: as LOSS_LIP_DIST_EMO_WEIGHTS.
LOSS_LIP_SIZE_EMO_WEIGHTS: EmotionWeights = None

# Weight of the stabiliser that forbids motion while the sound is silent (all channels but the eyes).
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher against trembling in pauses.
LOSS_VOL_STAB_REG_ALPHA: Weight = 100.0

# How soon sound counts as not silent: motion counts exp(-EXP x mean |sample|).
# Type: number >= 0.
# Change: lower when your pauses are noisy.
LOSS_VOL_STAB_REG_EXP: NotNegative = 5000.0

# Weight of the phoneme head's cross-entropy.
# Type: number >= 0, or None for no phonemes at all.
# Change: None without a phoneme model; higher with little data.
LOSS_PHONEME_ALPHA: Weight = 0.1

# Weight of the phoneme "silence" among the phonemes.
# Type: number >= 0.
# Change: lower when clips have long pauses.
LOSS_PHONEME_SIL_WEIGHT: NotNegative = 1.0

# Weight of the error of the phoneme probabilities' frame differences.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2 and LOSS_PHONEME_ALPHA.
# Change: together with LOSS_PHONEME_ALPHA.
LOSS_PHONEME_MOTION_ALPHA: Weight = 0.05

from audio2face.config_base.config_train_common import LOSS_CURVES_ALPHA, LOSS_CURVES_MOTION_ALPHA

## Output

from audio2face.config_base.config_train_common import TRAIN_OUTPUT_ROOT, FINAL_DEPLOY_ROOT, TORCH_CACHE_ROOT, ONNX_OPSET, ONNX_EXPORTER  # fmt: skip

## Emotions

from audio2face.config_base.config_train_common import SHOT_EMOTION_NAME_FOR_ALL_ZEROS, DEFAULT_SHOT_EMOTION_NAME

# Whether the deployed table of implicit emotions keeps only the frames that clips use.
# Type: True or False.
# Change: True for a smaller file when shots are used in part.
COMPACTIFY_IMPLICIT_EMO_DB: Switch = False

## Log and reproducibility

# Steps between two lines of the log and points of the TensorBoard curves.
# Type: whole number >= 1.
# Change: larger for long trainings.
LOG_PERIOD: Count = 50

from audio2face.config_base.config_train_common import REPRODUCIBLE, RNG_SEED_TORCH, RNG_SEED_DATASET

## Checkpoints

from audio2face.config_base.config_train_common import CHECKPOINT_PERIOD, CHECKPOINT_MINUTES, CHECKPOINT_GB_PER_HOUR, CHECKPOINT_KEEP

## Speed

from audio2face.config_base.config_train_common import NUM_PROCESSES, PRECISION, COMPILE

## Memory

from audio2face.config_base.config_train_common import AUDIO_DATA_CACHING, DATA_MEMORY_GB

# Has no effect: phoneme probabilities, 50 rows a second, lie where DATA_MEMORY_GB has them. The key is kept so that
# existing configs load.
# Type: True or False.
# Change: never.
PHONEME_DATA_CACHING: Switch = True

# Has no effect: targets are coefficients, some hundred values a frame, and lie where DATA_MEMORY_GB has them. The key is
# kept so that existing configs load.
# Type: True or False.
# Change: never.
TARGET_DATA_CACHING: Switch = True

# Has no effect: targets are on the training device unless DATA_MEMORY_GB has them in a file. The key is kept so that
# existing configs load.
# Type: True or False.
# Change: never.
TARGET_OBJECTS_TO_CUDA: Switch = True

# Time shifts, evenly spaced over AUGMENT["timeshift"], for which the frozen audio features are computed and cached;
# items draw one of them.
# Type: whole number >= 1.
# Change: 2 when the cache gets too large, more for a finer shift; 1 is no shift at all.
TIMESHIFT_GRID: Count = 4

# Memory for these cached features: single precision when it fits, else half. If they need more, they are read from the
# disk in every step (FEATURE_CACHE_DISK_GB), or computed again where they are not kept there.
# Type: number >= 0, gigabytes; 0 never caches.
# Change: to what the machine can spare; the cache makes training many times faster.
FEATURE_CACHE_GB: NotNegative = 4.0

from audio2face.config_base.config_train_common import FEATURE_CACHE_ROOT, FEATURE_CACHE_DISK_GB
