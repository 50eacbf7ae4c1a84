"""config_train.py for NETWORK_TYPE "guide": keyframes of slow curves (head, gaze, body) drawn to sound, for another network.

A guide learns in two stages of one training: a codec turns keyframes into codes, then a transformer learns which codes go
with a sound. `run_inference.py` draws keyframes, as many takes as asked for; with GUIDE_RUN a "diffusion_transformer" moves
through them.
"""

from typing import Literal

from audio2face.config.kinds import Count, CountOrZero, FrameRate, HyperParams, Names, NotNegative, Positive, Word

# Keys that are imported below are those of other methods, too: their manual and default stand in config_train_common.py and
# config_train_diffusion_base.py.

## Run

from audio2face.config_base.config_train_common import RUN_NAME, RUN_INFO, NETWORK_VERSION

# The method. It decides which other keys exist in config_train.py and config_inference.py.
# Type: "regression", "diffusion" or "guide".
# Change: "guide" for takes that differ in the large: where a head turns, how a body stands.
NETWORK_TYPE: Literal["guide"] = "guide"

## Preprocessing runs

from audio2face.config_base.config_train_common import PREPROC_ROOT, PREPROC_RUN_NAME_FULL, SKIN_PCA_COEFFS_FPATH, SKIN_PCA_SHAPES_FPATH, TONGUE_PCA_COEFFS_FPATH, TONGUE_PCA_SHAPES_FPATH, DATA_INFO_FPATH, SHOT_LIST_FPATH  # fmt: skip
from audio2face.config_base.config_train_diffusion_base import MEAN_GEOMETRY_FPATH

## Target

# The groups of curves that keyframes are made of.
# Type: list without repetition of groups of CURVES_ROOT, at least one.
# Change: always: to what moves slowly, such as "head" or "body"; lips are too fast for keyframes.
TARGET_CHANNELS: Names = ["head"]

# Frame rate of sound and curves in training, by which keyframes are numbered. Caches of another rate are resampled by time.
# Type: frames per second, > 0, of which AUDIO_PARAMS' buffer_len holds a whole number.
# Change: to that of the network that is guided.
TARGET_FPS: FrameRate = 30.0

# Keyframes a second.
# Type: keyframes per second, > 0, at most TARGET_FPS.
# Change: 2 for lively heads; 1 is enough for poses of a body.
GUIDE_FPS: FrameRate = 1.0

## Audio

from audio2face.config_base.config_train_common import AUDIO_PREPROC_METHOD
from audio2face.config_base.config_train_diffusion_base import AUDIO_PARAMS, NO_STANDARDIZE_AUDIO

## Clips

from audio2face.config_base.config_train_common import CLIPS, VALIDATION_CLIPS, VALIDATION_PERIOD
from audio2face.config_base.config_train_common import EARLY_STOPPING_PATIENCE

# Which weights are saved as weights.pth in the end: "best" are those whose cross-entropy on VALIDATION_CLIPS is lowest, "last"
# the last ones. Codes of minutes of data are soon known by heart.
# Type: "last" or "best".
# Change: to "last" without VALIDATION_CLIPS.
EXPORT_WEIGHTS: Literal["last", "best"] = "best"

from audio2face.config_base.config_train_diffusion_base import TRAIN_ON_RANDOM_SUBSEGMENT, SUBSEGMENT_MIN_FRAME, SUBSEGMENT_MAX_FRAME  # fmt: skip

## Augmentation

from audio2face.config_base.config_train_diffusion_base import AUGMENT
from audio2face.config_base.config_train_common import AUG_MUTED_SHOTS, AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO, AUG_MUTED_TONGUE_IS_NEUTRAL, AUG_MUTED_AUDIO_NOISE_TYPE, AUG_MUTED_AUDIO_NOISE_SCALE  # fmt: skip
from audio2face.config_base.config_train_diffusion_base import AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE

## Network

# The network: a residual vector-quantised codec of keyframes, and a transformer over its codes.
# Type: "vq_guide".
# Change: never.
NETWORK_NAME: Word = "vq_guide"

# Its parameters.
NETWORK_HYPER_PARAMS: HyperParams = {
    # The audio encoder: "hubert" and "w2v" are pretrained on 960 hours of English speech, "whisper" on 680,000 hours in 99
    # languages (a download each), "phoneme_ctc" is a small pretrained phoneme recogniser from the optional `hama`
    # package, "melspec" a log-mel spectrogram with trainable layers; the last two need no download.
    # Type: "hubert", "w2v", "whisper", "melspec" or "phoneme_ctc".
    # Change: to one that is pretrained, together with freeze_audio_encoder, for minutes of data.
    "audio_encoder": "melspec",
    # Where HuBERT comes from, or a WavLM, data2vec, UniSpeech or UniSpeech-SAT used in its place.
    # Type: hub name, local folder, or torchaudio's .pth of HUBERT_BASE.
    # Change: to a folder on machines without internet.
    "hubert_model": "facebook/hubert-base-ls960",
    # Where wav2vec 2.0 comes from, or a model of the kinds that may take HuBERT's place.
    # Type: hub name, local folder, or torchaudio's .pth of WAV2VEC2_BASE.
    # Change: to a folder on machines without internet.
    "w2v_model": "facebook/wav2vec2-base",
    # Where Whisper comes from: OpenAI's of any size, or one that was trained further.
    # Type: hub name, or local folder with config.json and the weights.
    # Change: to a folder on machines without internet.
    "whisper_model": "openai/whisper-base",
    # The block of Whisper's encoder whose output is used; a list mixes those of several blocks with learned weights.
    # Type: whole number >= 1, or a list of such.
    # Change: seldom.
    "whisper_layer": 3,
    # Whether HuBERT, wav2vec 2.0 or Whisper keeps all its pretrained weights; its features are then computed once and cached.
    # Type: True or False.
    # Change: False for hours of data.
    "freeze_audio_encoder": True,
    # Codes of each codebook.
    # Type: whole number >= 2.
    # Change: 256 or 512 for hours of data; smaller when the log says that many are not used.
    "codebook_size": 128,
    # Codebooks, each of which codes what those before it have left: codes of a keyframe.
    # Type: whole number >= 1.
    # Change: more for many columns that move by themselves.
    "depth": 4,
    # Values of a code's vector.
    # Type: whole number >= 1.
    # Change: seldom.
    "code_dim": 16,
    # Width of the codec's layers.
    # Type: whole number >= 1.
    # Change: with the number of columns.
    "codec_width": 128,
    # Width of the transformer's layers.
    # Type: whole number, a multiple of 8 and of 2 x num_heads.
    # Change: larger for hours of data.
    "width": 128,
    # Number of its layers.
    # Type: whole number >= 1.
    # Change: with the width.
    "num_layers": 3,
    # Number of its attention heads.
    # Type: whole number >= 1 that divides the width into even parts.
    # Change: seldom.
    "num_heads": 4,
    # Share of its layers' values that are left out in training.
    # Type: number, 0 <= x < 1.
    # Change: lower for hours of data.
    "dropout": 0.2,
}

from audio2face.config_base.config_train_diffusion_base import STREAMING_CFG

## Optimisation

# Segments in one step of the transformer. They are padded to the same length and masked.
# Type: whole number >= 1.
# Change: larger on a GPU.
BATCH_SIZE: Count = 8

# Passes over the training data, both stages together. A pass takes every clip as often as the longest segment fits in it, and
# so often that it has at least 4 steps.
# Type: whole number >= 1, above GUIDE_CODEC_EPOCHS.
# Change: fewer for hours of data; a thousand steps of each stage are enough for minutes.
NUM_EPOCHS: Count = 400

# How many of them, at the beginning, are those of the codec. Its steps are short: they take keyframes alone, no sound.
# Type: whole number >= 1, below NUM_EPOCHS.
# Change: more when the keyframes' error (CODEC) still falls at the end of the stage.
GUIDE_CODEC_EPOCHS: Count = 200

# Step size of Adam for the transformer after the warm-up. From there it falls along a cosine to LR_MIN, and so does the
# codec's in its own stage.
# Type: number > 0.
# Change: halve it when the loss jumps.
LEARNING_RATE: Positive = 3e-4

# Step size of Adam for the codec.
# Type: number > 0.
# Change: halve it when the loss jumps.
GUIDE_CODEC_LEARNING_RATE: Positive = 1e-3

from audio2face.config_base.config_train_common import LEARNING_RATE_SCALING

# The batch that LEARNING_RATE is meant for.
# Type: whole number >= 1; without effect when LEARNING_RATE_SCALING is "none".
# Change: when you have found LEARNING_RATE with another batch.
LEARNING_RATE_BATCH_SIZE: Count = 8

# Step size at the last epoch of a stage.
# Type: number >= 0, not above LEARNING_RATE.
# Change: together with LEARNING_RATE.
LR_MIN: NotNegative = 1e-5

# Length of the warm-up of each stage.
# Type: whole number >= 0, epochs.
# Change: 0 for none.
LR_WARMUP_EPOCHS: CountOrZero = 5

# Largest norm of the gradient; longer ones are shortened to it.
# Type: number > 0, or None for no limit.
# Change: seldom.
GRADIENT_CLIP_NORM: Positive | None = 1.0

# Share by which Adam shrinks the weights in each step, times the learning rate.
# Type: number >= 0; 0 is off.
# Change: lower for hours of data.
WEIGHT_DECAY: NotNegative = 0.1

from audio2face.config_base.config_train_common import EMA_DECAY

## Losses

from audio2face.config_base.config_train_common import LOSS_CURVES_ALPHA

## Output

from audio2face.config_base.config_train_common import TRAIN_OUTPUT_ROOT, TORCH_CACHE_ROOT

## Emotions

from audio2face.config_base.config_train_common import SHOT_EMOTION_NAME_FOR_ALL_ZEROS, DEFAULT_SHOT_EMOTION_NAME

## Log and reproducibility

from audio2face.config_base.config_train_diffusion_base import LOG_PERIOD
from audio2face.config_base.config_train_common import REPRODUCIBLE, RNG_SEED_TORCH, RNG_SEED_DATASET

## Checkpoints

from audio2face.config_base.config_train_common import CHECKPOINT_PERIOD, CHECKPOINT_MINUTES, CHECKPOINT_GB_PER_HOUR, CHECKPOINT_KEEP

## Speed

from audio2face.config_base.config_train_common import NUM_PROCESSES, PRECISION

## Memory

from audio2face.config_base.config_train_common import AUDIO_DATA_CACHING, DATA_MEMORY_GB
from audio2face.config_base.config_train_diffusion_base import TIMESHIFT_GRID, FEATURE_CACHE_GB
from audio2face.config_base.config_train_common import FEATURE_CACHE_ROOT, FEATURE_CACHE_DISK_GB
