"""config_train.py for NETWORK_TYPE "diffusion": a sequence of sound in, a sequence of the face out of noise.

Diffusion learns whole sequences, keeps a state from frame to frame, serves several actors with one network and can
give different takes of the same speech. It needs more training and computing time than regression.
"""

from typing import Literal

from audio2face.config.kinds import Count, CountOrZero, DiffusionMetric, Files, FrameRate, HyperParams, Names, NotNegative, Positive, Switch, Text, TrainableParts, TwoOrMore, Weight, Word  # fmt: skip
from audio2face.config.nested import DiffusionAudio, DiffusionAugment, Streaming

# Keys that are imported below are those of both methods: their manual and default stand in config_train_common.py.

## Run

from audio2face.config_base.config_train_common import RUN_NAME, RUN_INFO, NETWORK_VERSION

# The method. It decides which other keys exist in config_train.py and config_inference.py.
# Type: "regression", "diffusion" or "guide".
# Change: "regression" is fast and steady; "diffusion" gives livelier faces and can vary them, and needs more training
#   and computing time.
NETWORK_TYPE: Literal["diffusion"] = "diffusion"

## Preprocessing runs

from audio2face.config_base.config_train_common import PREPROC_ROOT, PREPROC_RUN_NAME_FULL, SKIN_PCA_COEFFS_FPATH, SKIN_PCA_SHAPES_FPATH, TONGUE_PCA_COEFFS_FPATH, TONGUE_PCA_SHAPES_FPATH, DATA_INFO_FPATH, SHOT_LIST_FPATH  # fmt: skip

# Normalised mean face from elsewhere than the preprocessing run (its deploy/mean_geometry.npy). The network outputs
# differences from it.
# Type: {actor: .npy file, (3V + 3Vt + 15 + 4,)}.
# Change: when you made your own.
MEAN_GEOMETRY_FPATH: Files = {}

## Target

# What the network learns. Mesh channels are vertices here; `diffusion_rnn_pca` works on their PCA coefficients
# inside. The deployed model has all four: those that are left out stay at rest.
# Type: list without repetition of "skin_pose", "tongue_pose", "jaw", "eye" and groups of CURVES_ROOT (not in `diffusion_rnn`);
#   "skin_pose" or a group is required.
# Change: leave out a channel whose data is bad; add groups of curves.
TARGET_CHANNELS: Names = ["skin_pose", "tongue_pose", "jaw", "eye"]

# Frame rate at which the network is trained and run. Caches of another rate are resampled by time. Without an entry in
# STREAMING_CFG one is computed.
# Type: frames per second, > 0, of which AUDIO_PARAMS' buffer_len holds a whole number.
# Change: 30 is twice as fast and does for most speech.
TARGET_FPS: FrameRate = 60.0

# Whether each channel is divided by its scale (and shifted to its origin) for training.
# Type: True; nothing else is accepted.
# Change: never; the noise is made for values of about 1.
RESCALE_TARGET_CHANNEL_DATA: Switch = True

## Audio

from audio2face.config_base.config_train_common import AUDIO_PREPROC_METHOD

# The windows of sound in streaming use. They are written into the deployed model and must agree with the entry of
# STREAMING_CFG for TARGET_FPS.
AUDIO_PARAMS: DiffusionAudio = {
    # Length of a window.
    # Type: whole number > 0, samples; as window_size of STREAMING_CFG.
    # Change: together with STREAMING_CFG.
    "buffer_len": 16000,
    # Silence put in front of the sound.
    # Type: whole number >= 0, samples; as audio_pad_left of STREAMING_CFG.
    # Change: together with STREAMING_CFG.
    "padding_left": 16000,
    # Silence put behind the sound.
    # Type: whole number >= 0, samples; as audio_pad_right of STREAMING_CFG.
    # Change: together with STREAMING_CFG.
    "padding_right": 16000,
    # Rate to which all sound is resampled.
    # Type: hertz; the pretrained encoders need 16000.
    # Change: never.
    "samplerate": 16000,
}

# Whether the sound goes into the encoder as it is. False brings every clip to mean 0 and variance 1 first, which the
# runtime does not do.
# Type: True or False.
# Change: never for models that will be deployed.
NO_STANDARDIZE_AUDIO: Switch = True

## Clips

from audio2face.config_base.config_train_common import CLIPS, VALIDATION_CLIPS, VALIDATION_PERIOD, PREVIEW_PERIOD

# Which measurement on VALIDATION_CLIPS decides which weights are best. They are kept in checkpoints/best.pt of the run.
# Type: "total" (the loss), or a term of it: "MSE", "CURVES", "CURVES_MOTION", "LIP_DIST", "VELOCITY", "EXP_SMOOTH"; None: "total".
# Change: to judge by something else.
BEST_METRIC: DiffusionMetric | None = None

from audio2face.config_base.config_train_common import EARLY_STOPPING_PATIENCE, EXPORT_WEIGHTS

# Whether each item is a random part of a clip instead of the whole clip.
# Type: True or False.
# Change: False when all clips are short.
TRAIN_ON_RANDOM_SUBSEGMENT: Switch = True

# Shortest such part.
# Type: whole number >= 2, frames of TARGET_FPS.
# Change: seldom; half a second or more.
SUBSEGMENT_MIN_FRAME: TwoOrMore = 30

# Longest such part.
# Type: whole number >= SUBSEGMENT_MIN_FRAME, frames of TARGET_FPS.
# Change: lower when memory is short.
SUBSEGMENT_MAX_FRAME: TwoOrMore = 600

## Augmentation

# Random changes of the training data.
AUGMENT: DiffusionAugment = {
    # The sound is shifted against whole frames by a random part of a frame, and the target is interpolated.
    # Type: number >= 0, frames (range of the shift); 0 switches it off.
    # Change: up to 1 when the caches are at 30 frames a second or less.
    "timeshift": 0.0,
    # The voice of whole clips is made higher or lower. None, or `"pitch_shift": DELETE`, switches it off.
    "pitch_shift": {
        # Lowest shift.
        # Type: number <= max_semitones, semitones.
        # Change: with one voice only, widen the range to about 4.
        "min_semitones": -2,
        # Highest shift.
        # Type: number >= min_semitones, semitones.
        # Change: together with min_semitones.
        "max_semitones": 2,
        # Share of the items that are shifted.
        # Type: number, 0 … 1.
        # Change: higher with few voices.
        "p": 0.2,
    },
}

from audio2face.config_base.config_train_common import AUG_MUTED_SHOTS, AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO, AUG_MUTED_TONGUE_IS_NEUTRAL, AUG_MUTED_AUDIO_NOISE_TYPE, AUG_MUTED_AUDIO_NOISE_SCALE  # fmt: skip

# Further factor on the noise, drawn from this range for every segment, or for every take that TIMESHIFT_GRID keeps.
# Type: (lowest, highest), numbers >= 0.
# Change: together with AUG_MUTED_AUDIO_NOISE_SCALE.
AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE: tuple[NotNegative, NotNegative] = (0.0, 1.0)

## Network

# The network: "diffusion_rnn" works on vertices, "diffusion_rnn_pca" on PCA coefficients inside, with the same inputs
# and outputs. It is much smaller, and at Claire's size trains about twice as fast with a HuBERT that is trained, and
# many times as fast with one that is frozen. "diffusion_transformer" sees a whole animation at once: it can be edited
# (frames, keys and parts that are given stay), takes guidance, and is not deployed for the runtime.
# Type: "diffusion_rnn", "diffusion_rnn_pca" or "diffusion_transformer".
# Change: "diffusion_rnn_pca" for new projects; "diffusion_transformer" to edit, and for heads and bodies.
NETWORK_NAME: Word = "diffusion_rnn"

# Its parameters.
NETWORK_HYPER_PARAMS: HyperParams = {
    # The audio encoder ("hubert"; of "diffusion_transformer" "melspec" unless set): "hubert" and "w2v" are pretrained on 960 hours of English speech, "whisper" on 680,000 hours in 99
    # languages (a download each), "phoneme_ctc" is a small pretrained phoneme recogniser from the optional `hama`
    # package, "melspec" a log-mel spectrogram with trainable layers; the last two need no download.
    # Type: "hubert", "w2v", "whisper", "melspec" or "phoneme_ctc".
    # Change: for machines without internet or small models.
    "audio_encoder": "hubert",
    # Where HuBERT comes from, or a WavLM, data2vec, UniSpeech or UniSpeech-SAT used in its place. Hub models are kept
    # under TORCH_CACHE_ROOT.
    # Type: hub name, local folder, or torchaudio's .pth of HUBERT_BASE.
    # Change: to a folder on machines without internet.
    "hubert_model": "facebook/hubert-base-ls960",
    # Where wav2vec 2.0 comes from, or a model of the kinds that may take HuBERT's place.
    # Type: hub name, local folder, or torchaudio's .pth of WAV2VEC2_BASE.
    # Change: to a folder on machines without internet.
    "w2v_model": "facebook/wav2vec2-base",
    # Where Whisper comes from: OpenAI's of any size, or one that was trained further.
    # Type: hub name, or local folder with config.json and the weights.
    # Change: to a folder on machines without internet; "openai/whisper-tiny" or "openai/whisper-small" for less or more.
    "whisper_model": "openai/whisper-base",
    # The block of Whisper's encoder whose output is used; a list mixes those of several blocks with learned weights. Blocks
    # behind the last one are neither computed nor kept.
    # Type: whole number >= 1, or a list of such.
    # Change: seldom; middle blocks follow the mouth best, the last ones no better than log-mel.
    "whisper_layer": 3,
    # Whether HuBERT, wav2vec 2.0 or Whisper keeps all its pretrained weights; otherwise all but its first two layers adapt. A
    # frozen encoder gets windows of sound in training as it will when streaming, and its features are computed once and
    # cached, which makes training faster, on PCA coefficients many times. (phoneme_ctc is always frozen, melspec
    # never.)
    # Type: True or False.
    # Change: True for little data or little time.
    "freeze_audio_encoder": False,
    # Size of the audio, geometry and step features.
    # Type: whole number >= 1.
    # Change: seldom.
    "feature_dim": 256,
    # Size to which the jaw is embedded.
    # Type: whole number >= 1.
    # Change: never.
    "jaw_latent_dim": 15,
    # Size to which the tongue is embedded.
    # Type: whole number >= 1.
    # Change: seldom; up to the number of tongue components.
    "tongue_latent_dim": 10,
    # Size to which the eyes are embedded.
    # Type: whole number >= 1.
    # Change: never.
    "eye_latent_dim": 4,
    # Width of the recurrent layers; it is the size of the state in the deployed model.
    # Type: whole number >= 1.
    # Change: larger for many actors and hours of data.
    "gru_feature_dim": 256,
    # Number of recurrent layers.
    # Type: whole number >= 1.
    # Change: seldom.
    "num_gru_layers": 2,
    # Size to which the emotion is embedded.
    # Type: whole number >= 1.
    # Change: seldom.
    "emo_embedding_dim": 32,
    # Size to which the actor is embedded.
    # Type: whole number >= 1.
    # Change: larger for dozens of actors.
    "actor_embedding_dim": 32,
    # Size of the features of HuBERT or wav2vec 2.0; the other encoders' is known.
    # Type: whole number >= 1; 768 for the base models.
    # Change: for a HuBERT or wav2vec 2.0 of another size.
    "hubert_feature_dim": 768,
    # Width of the layers of "diffusion_transformer".
    # Type: whole number, a multiple of 8 and of 2 x num_heads.
    # Change: larger for many actors and hours of data.
    "width": 256,
    # Number of its layers.
    # Type: whole number >= 1.
    # Change: with the width.
    "num_layers": 4,
    # Number of its attention heads.
    # Type: whole number >= 1 that divides the width into even parts.
    # Change: seldom.
    "num_heads": 4,
    # Share of its layers' values that are left out in training.
    # Type: number, 0 <= x < 1.
    # Change: higher for minutes of data, lower for hours.
    "dropout": 0.1,
    # Frames before and after each one whose sounds it also hears through a convolution of its own; 0 is without one. Its layers
    # can attend to all of them, but need longer to learn it.
    # Type: whole number >= 0.
    # Change: where something answers a sound some time later, as a listener's nod does: to cover 0.5 s.
    "reach": 0,
}

from audio2face.config_base.config_train_common import PRETRAINED_NET_FPATH

# Which weights learn, when not all do: a new actor of one or two minutes on top of a network of others, whose weights
# PRETRAINED_NET_FPATH gives. "actor" is how each actor moves, "output" the layer that makes the face.
# Type: list of "actor" and "output"; None for all.
# Change: ["actor"] for a minute of data, ["actor", "output"] for a few.
TRAINABLE: TrainableParts | None = None

## Diffusion

# Steps from a clean face to pure noise that the network is trained on.
# Type: whole number >= 1.
# Change: seldom; the number of steps when running is set by TIMESTEP_RESPACING.
DIFFUSION_STEPS: Count = 1000

# How the noise grows over the steps.
# Type: "cosine" or "linear".
# Change: seldom.
DIFFUSION_NOISE_SCHEDULE: Literal["cosine", "linear"] = "cosine"

# How much more often noisy steps are trained than clean ones: in half of the items the chance of step t grows as t to
# this power; in the other half all are alike. 0 trains all alike throughout. Only near pure noise must the face be read
# from the sound, which is what the first step of a deployed model does.
# Type: number >= 0.
# Change: 3 or so for short trainings, when the mouth follows the sound weakly.
STEP_BIAS: NotNegative = 0.0

# Which of the DIFFUSION_STEPS are trained. "" is all, "10" ten evenly spaced ones, "ddim5" five at a fixed stride, "3,4"
# three of the first half and four of the second. config_inference.py has its own key, for the steps used when a face is
# animated; they must be among these.
# Type: text as above; every section must hold as many steps as it keeps.
# Change: seldom; a network that is trained for few steps can be used with these alone.
TIMESTEP_RESPACING: Text = ""

# How the deployed model streams, by frame rate: each window of sound gives `left_truncate + block_frame_size +
# right_truncate` frames, of which the middle block is used. The number of these frames must be window_size at this
# frame rate. For other rates (24, 25, 48, 50 …) an entry is computed: half of the frames are the block, a quarter comes
# before it. Add one to choose otherwise.
STREAMING_CFG: dict[str, Streaming] = {
    "60": {
        # Silence in front of the sound.
        # Type: whole number, samples; at least the duration of left_truncate.
        # Change: together with AUDIO_PARAMS.
        "audio_pad_left": 16000,
        # Silence behind the sound.
        # Type: whole number >= 0, samples.
        # Change: together with AUDIO_PARAMS.
        "audio_pad_right": 16000,
        # Length of a window.
        # Type: whole number > 0, samples.
        # Change: shorter for less delay in live use, longer for better lip sync.
        "window_size": 16000,
        # Frames in front of the block that only give context. `left_truncate x window_size` should be divisible by
        # the window's number of frames, or the runtime loses frame 0.
        # Type: whole number >= 0, frames.
        # Change: with the window.
        "left_truncate": 15,
        # Frames behind the block: the look-ahead, the delay in live use.
        # Type: whole number >= 0, frames.
        # Change: with the window.
        "right_truncate": 15,
        # Frames that each window adds.
        # Type: whole number >= 1, frames.
        # Change: with the window.
        "block_frame_size": 30,
    },
    "30": {
        "audio_pad_left": 16000,
        "audio_pad_right": 16000,
        "window_size": 16000,
        "left_truncate": 6,  # a whole number of samples: frame 0 is kept
        "right_truncate": 9,
        "block_frame_size": 15,
    },
}

## Optimisation

# Clips in one step. More than one are padded to the same length and masked.
# Type: whole number >= 1.
# Change: larger on a strong GPU, with smaller GRADIENT_ACCUMULATION_STEPS.
BATCH_SIZE: Count = 1

# Steps whose gradients are averaged before the weights change: the effective batch is BATCH_SIZE times this.
# Type: whole number >= 1.
# Change: so that the product with BATCH_SIZE stays at 4 or more.
GRADIENT_ACCUMULATION_STEPS: Count = 4

# Passes over the training data.
# Type: whole number >= 1.
# Change: fewer for hours of data, more for a handful of clips; watch speech that is not trained on.
NUM_EPOCHS: Count = 400

# Step size of Adam after the warm-up. From there it falls along a cosine to LR_MIN.
# Type: number > 0.
# Change: halve it when the loss jumps.
LEARNING_RATE: Positive = 5e-5

from audio2face.config_base.config_train_common import LEARNING_RATE_SCALING

# The batch that LEARNING_RATE is meant for: BATCH_SIZE times GRADIENT_ACCUMULATION_STEPS.
# Type: whole number >= 1; without effect when LEARNING_RATE_SCALING is "none".
# Change: when you have found LEARNING_RATE with another batch.
LEARNING_RATE_BATCH_SIZE: Count = 4

# Step size at the last epoch.
# Type: number >= 0, not above LEARNING_RATE.
# Change: together with LEARNING_RATE.
LR_MIN: NotNegative = 1e-5

# Step size at the first epoch; it moves evenly to the cosine's value during the warm-up. This default lies above
# LEARNING_RATE and so begins with larger steps, as existing models were trained.
# Type: number >= 0.
# Change: 1e-6 for a warm-up that starts low, when the first epochs are unsteady.
LR_WARMUP_INIT: NotNegative = 1e-4

# Length of the warm-up.
# Type: whole number >= 0, epochs.
# Change: 0 for none; not more than a tenth of NUM_EPOCHS.
LR_WARMUP_EPOCHS: CountOrZero = 10

# Largest norm of the gradient; longer ones are shortened to it.
# Type: number > 0, or None for no limit.
# Change: 1.0 when the loss jumps.
GRADIENT_CLIP_NORM: Positive | None = None

from audio2face.config_base.config_train_common import WEIGHT_DECAY, EMA_DECAY

## Losses

# Weight of the tongue's error, before squaring: 0.1 counts a hundredth.
# Type: number >= 0.
# Change: higher when the tongue matters.
TONGUE_WEIGHT: NotNegative = 0.1

# Weight of the jaw's error, before squaring.
# Type: number >= 0.
# Change: seldom.
JAW_WEIGHT: NotNegative = 1.0

# Has no effect in diffusion; LOSS_VELOCITY_ALPHA is the loss for motion. The key is kept so that existing configs
# load.
# Type: number >= 0, or None.
# Change: never.
LOSS_MOTION_ALPHA: Weight = 0.0

# Weight of the squared error of the skin's frame differences.
# Type: number >= 0, or None for off.
# Change: higher against jitter.
LOSS_VELOCITY_ALPHA: Weight = 0.0

# Weight of the penalty on motion of the upper face, against trembling brows. Needs SKIN_EYE_DIST_VERTEX_LIST_FPATH.
# Type: number >= 0, or None for off.
# Change: lower when brows and lids look frozen.
LOSS_EXP_SMOOTH_ALPHA: Weight = 25.0

# Weight of the error of the lips' vertical distances: whether the mouth closes when it should. Needs
# SKIN_LIP_DIST_VERTEX_LIST_FPATH; the units are those of the meshes, squared.
# Type: number >= 0, or None for off.
# Change: ten times higher when m, b and p do not close; ten thousand times higher for meshes in metres.
LOSS_LIP_DIST_ALPHA: Weight = 1e-5

# How much more closed lips count than open ones: an error counts exp(-EXP x true distance).
# Type: number >= 0, per unit of the meshes; 0 counts all alike.
# Change: with the mesh's units; higher to look at closures only.
LOSS_LIP_DIST_EXP: NotNegative = 10.0

from audio2face.config_base.config_train_common import (
    LOSS_LIP_DIST_EMO_WEIGHTS,
    LOSS_CURVES_ALPHA,
    LOSS_CURVES_MOTION_ALPHA,
)

## Output

from audio2face.config_base.config_train_common import TRAIN_OUTPUT_ROOT, FINAL_DEPLOY_ROOT, TORCH_CACHE_ROOT, ONNX_OPSET, ONNX_EXPORTER  # fmt: skip

## Emotions

from audio2face.config_base.config_train_common import SHOT_EMOTION_NAME_FOR_ALL_ZEROS, DEFAULT_SHOT_EMOTION_NAME

## Log and reproducibility

# Steps between two lines of the log and points of the TensorBoard curves.
# Type: whole number >= 1.
# Change: larger for long trainings.
LOG_PERIOD: Count = 10

from audio2face.config_base.config_train_common import REPRODUCIBLE, RNG_SEED_TORCH, RNG_SEED_DATASET

## Checkpoints

from audio2face.config_base.config_train_common import CHECKPOINT_PERIOD, CHECKPOINT_MINUTES, CHECKPOINT_GB_PER_HOUR, CHECKPOINT_KEEP

## Speed

from audio2face.config_base.config_train_common import NUM_PROCESSES, PRECISION, COMPILE

## Memory

from audio2face.config_base.config_train_common import AUDIO_DATA_CACHING, DATA_MEMORY_GB

# Has no effect in diffusion, which uses no phonemes. The key is kept so that existing configs load.
# Type: True or False.
# Change: never.
PHONEME_DATA_CACHING: Switch = True

# Has no effect: targets are coefficients, some hundred values a frame, and lie where DATA_MEMORY_GB has them. The key is
# kept so that existing configs load.
# Type: True or False.
# Change: never.
TARGET_DATA_CACHING: Switch = False

# Has no effect: each batch of targets goes to the training device when it is due. The key is kept so that existing
# configs load.
# Type: True or False.
# Change: never.
TARGET_OBJECTS_TO_CUDA: Switch = True

# Takes of every clip of which a frozen encoder's features are computed and cached; segments draw one of them. Takes
# spread over AUGMENT["timeshift"] and over where the encoder's windows begin, and draw pitch shift and noise once each.
# Type: whole number >= 1.
# Change: 2 when the cache gets too large, more with pitch shift; 1 is no time shift at all where features are kept.
TIMESHIFT_GRID: Count = 4

# Memory for these cached features: single precision when it fits, else half. If they need more, they are read from the
# disk in every step (FEATURE_CACHE_DISK_GB), or computed again where they are not kept there.
# Type: number >= 0, gigabytes; 0 never caches.
# Change: to what the machine can spare; without a frozen encoder it has no effect.
FEATURE_CACHE_GB: NotNegative = 4.0

from audio2face.config_base.config_train_common import FEATURE_CACHE_ROOT, FEATURE_CACHE_DISK_GB
