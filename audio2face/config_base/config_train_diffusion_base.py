"""config_train.py for NETWORK_TYPE "diffusion": a sequence of sound in, a sequence of the face out of noise.

Diffusion learns whole sequences, keeps a state from frame to frame, serves several actors with one network and can
give different takes of the same speech. It needs more training and computing time than regression.
"""

## Run

# Name of this run; the folder is `YYMMDD_HHMMSS_<RUN_NAME>`.
# Type: letters, digits, `_`, `-`, `.`; begins and ends with a letter, digit or `_`; no `..`.
# Change: give each experiment its own name, since `latest` means the newest run of this name.
RUN_NAME = "default"

# A remark for yourself, kept in the run's info.txt.
# Type: text, any length.
# Change: whenever you will wonder later what this run was.
RUN_INFO = ""

# Version of the model, written into network_info.json of the deployed model.
# Type: text.
# Change: for every model that you hand to others.
NETWORK_VERSION = "0.1"

# The method. It decides which other keys exist in config_train.py and config_inference.py.
# Type: "regression" or "diffusion".
# Change: "regression" is fast and steady; "diffusion" gives livelier faces and can vary them, and needs more training
#   and computing time.
NETWORK_TYPE = "diffusion"

## Preprocessing runs

# Folder with the preprocessing runs.
# Type: folder.
# Change: when PREPROC_OUTPUT_ROOT was changed.
PREPROC_ROOT = "/workspace/output_preproc"

# The preprocessing run of each actor, as `run_preproc.py` printed it. "latest", and a missing entry, mean the newest
# finished run of the actor with the RUN_NAME of config_preproc.py.
# Type: {actor: full run name or "latest"}.
# Change: to tie a training to one certain run.
PREPROC_RUN_NAME_FULL = {}

# Skin coefficients from elsewhere than the preprocessing run (its pca/skin/skin_pca_coeffs_all.npz).
# Type: {actor: .npz file, {shot: (frames, K)}}.
# Change: when you made your own.
SKIN_PCA_COEFFS_FPATH = {}

# Skin components from elsewhere than the preprocessing run (its pca/skin/skin_pca_shapes.npz).
# Type: {actor: .npz file, shapes_matrix (K, V, 3), shapes_mean (V, 3)}.
# Change: together with SKIN_PCA_COEFFS_FPATH.
SKIN_PCA_SHAPES_FPATH = {}

# Tongue coefficients from elsewhere than the preprocessing run.
# Type: {actor: .npz file, {shot: (frames, Kt)}}.
# Change: when you made your own.
TONGUE_PCA_COEFFS_FPATH = {}

# Tongue components from elsewhere than the preprocessing run.
# Type: {actor: .npz file, shapes_matrix (Kt, Vt, 3), shapes_mean (Vt, 3)}.
# Change: together with TONGUE_PCA_COEFFS_FPATH.
TONGUE_PCA_SHAPES_FPATH = {}

# Sizes, scales and origins of the channels from elsewhere than the preprocessing run (its deploy/data_info.json).
# Type: {actor: .json file}.
# Change: when you made your own.
DATA_INFO_FPATH = {}

# List of shots from elsewhere than the preprocessing run (its deploy/shots.json).
# Type: {actor: .json file, [[actor, shot, frames, fps, emotion], …]}.
# Change: when you made your own.
SHOT_LIST_FPATH = {}

# Normalised mean face from elsewhere than the preprocessing run (its deploy/mean_geometry.npy). The network puts out
# differences from it.
# Type: {actor: .npy file, (3V + 3Vt + 15 + 4,)}.
# Change: when you made your own.
MEAN_GEOMETRY_FPATH = {}

## Target

# What the network learns. Mesh channels are vertices here; `diffusion_rnn_pca` works on their PCA coefficients
# inside. The deployed model has all four: those that are left out stay at rest.
# Type: list without repetition of "skin_pose" (required), "tongue_pose", "jaw", "eye".
# Change: leave out a channel whose data is bad.
TARGET_CHANNELS = ["skin_pose", "tongue_pose", "jaw", "eye"]

# Frame rate at which the network is trained and run. Caches of another rate are resampled by time. Without an entry in
# STREAMING_CFG one is computed.
# Type: frames per second, > 0, of which AUDIO_PARAMS' buffer_len holds a whole number.
# Change: 30 is twice as fast and does for most speech.
TARGET_FPS = 60.0

# Whether each channel is divided by its scale (and shifted to its origin) for training.
# Type: True; nothing else is accepted.
# Change: never; the noise is made for values of about 1.
RESCALE_TARGET_CHANNEL_DATA = True

## Audio

# How a sound file becomes samples: "w2v" averages the channels, resamples and remembers the peak of the track; "nva2f"
# divides by the peak first and resamples then.
# Type: "w2v" or "nva2f".
# Change: never for new models.
AUDIO_PREPROC_METHOD = "w2v"

# The windows of sound in streaming use. They are written into the deployed model and must agree with the entry of
# STREAMING_CFG for TARGET_FPS.
AUDIO_PARAMS = {
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
NO_STANDARDIZE_AUDIO = True

## Clips

# What is trained on: frames of shots, each with its sound. Preprocessing prints a list to paste here (and keeps it in
# deploy/clips_template.py); empty means all of that list, for every actor. The same shot may occur several times, with
# other voices or other ranges.
# Type: list of (actor, shot, (first frame, last frame), speaker, language, audio file, audio offset): frames of the
#   cache, the last included; the audio file relative to AUDIO_ROOT; the offset in frames, frame i being heard at frame
#   i + offset of the file.
# Change: to leave out parts, keep shots for testing, add voices, or mend a shift between sound and face.
CLIPS = []

# Shots that are never trained on, to measure on: during training (VALIDATION_PERIOD) and by run_evaluate.py. Whole shots
# are kept out, also of other voices and ranges that CLIPS names.
# Type: share of the shots between 0 and 1 (drawn evenly from each actor's emotions, the same every time), a pattern of
#   shot names such as "*_07_*", or a list of shot names, patterns and clips in the form of CLIPS; None for none. Of
#   fewer than 5 shots a tenth is none, too.
# Change: to certain shots that speak for all, or to None when every shot is needed for training.
VALIDATION_CLIPS = 0.1

# Epochs between two measurements on VALIDATION_CLIPS, which go to TensorBoard (validation/...) and metrics.jsonl.
# Type: whole number >= 1, epochs.
# Change: larger when measuring takes long beside training.
VALIDATION_PERIOD = 5

# Epochs between two previews: four seconds of a held-out clip, truth beside prediction with sound, as previews/*.mp4 and
# pictures in the run, and as images in TensorBoard. What would take more than a twentieth of the training's time is left
# out, except after the last epoch. Films need SKIN_TRIANGLES_FPATH and the extra `video`.
# Type: whole number >= 1, epochs; None for none.
# Change: smaller to see the first epochs, None when nobody looks.
PREVIEW_PERIOD = 10

# Which measurement on VALIDATION_CLIPS tells the best weights. They are kept in checkpoints/best.pt of the run.
# Type: "total" (the loss), or a term of it: "MSE", "LIP_DIST", "VELOCITY", "EXP_SMOOTH"; None: "total".
# Change: to judge by something else.
BEST_METRIC = None

# Ends the training when so many measurements in a row brought no better BEST_METRIC.
# Type: whole number >= 1, measurements (VALIDATION_PERIOD epochs each); None: never.
# Change: to 5 or so when you do not know how many epochs the data needs, together with EXPORT_WEIGHTS = "best".
EARLY_STOPPING_PATIENCE = None

# Which weights are saved as weights.pth and exported in the end. The last ones (averaged, with EMA_DECAY) do not depend
# on the few shots of VALIDATION_CLIPS; the best ones are those of the best measurement on them.
# Type: "last" or "best".
# Change: to "best" when the measurements get worse towards the end of a training.
EXPORT_WEIGHTS = "last"

# Whether each item is a random part of a clip instead of the whole clip.
# Type: True or False.
# Change: False when all clips are short.
TRAIN_ON_RANDOM_SUBSEGMENT = True

# Shortest such part.
# Type: whole number >= 2, frames of TARGET_FPS.
# Change: seldom; half a second or more.
SUBSEGMENT_MIN_FRAME = 30

# Longest such part.
# Type: whole number >= SUBSEGMENT_MIN_FRAME, frames of TARGET_FPS.
# Change: lower when memory is short.
SUBSEGMENT_MAX_FRAME = 600

## Augmentation

# Random changes of the training data.
AUGMENT = {
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

# Silent clips that hold one pose, made for training: the face of an emotion without a voice. The sound is the noise
# of the AUG_MUTED_AUDIO_NOISE keys.
# Type: list of (actor, (source shot, source frame), length in frames, emotion).
# Change: give one entry per emotion, 100 frames or more, or the face will twitch in silence.
AUG_MUTED_SHOTS = []

# Whether silent clips of the neutral emotion (SHOT_EMOTION_NAME_FOR_ALL_ZEROS; without one DEFAULT_SHOT_EMOTION_NAME)
# hold the neutral skin, jaw and eyes instead of those of the chosen pose.
# Type: True or False.
# Change: False when the actor's resting face should differ from the neutral mesh.
AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO = True

# Whether silent clips hold the neutral tongue.
# Type: True or False.
# Change: True when the chosen poses catch the tongue in the middle of a sound.
AUG_MUTED_TONGUE_IS_NEUTRAL = False

# Sound of the silent clips: "mic" is the hiss of a room and microphone, "gauss" white noise, None digital silence.
# Type: "mic", "gauss" or None.
# Change: never, unless your recordings are perfectly clean.
AUG_MUTED_AUDIO_NOISE_TYPE = "mic"

# Loudness of that noise.
# Type: number >= 0, factor on the samples.
# Change: raise it when the face moves in noisy pauses of your recordings.
AUG_MUTED_AUDIO_NOISE_SCALE = 0.1

# Further factor on the noise, drawn anew from this range for every segment, or for every take that TIMESHIFT_GRID keeps.
# Type: (lowest, highest), numbers >= 0.
# Change: together with AUG_MUTED_AUDIO_NOISE_SCALE.
AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE = (0.0, 1.0)

## Network

# The network: "diffusion_rnn" works on vertices, "diffusion_rnn_pca" on PCA coefficients inside, with the same inputs
# and outputs. It is much smaller, and at Claire's size trains about twice as fast with a HuBERT that is trained, and
# many times as fast with one that is frozen.
# Type: "diffusion_rnn" or "diffusion_rnn_pca".
# Change: "diffusion_rnn_pca" for new projects.
NETWORK_NAME = "diffusion_rnn"

# Its parameters.
NETWORK_HYPER_PARAMS = {
    # What listens: "hubert" and "w2v" are pretrained on 960 hours of speech (a download), "phoneme_ctc" is a small
    # pretrained phoneme recogniser from the optional `hama` package, "melspec" a log-mel spectrogram with trainable
    # layers; the last two need no download.
    # Type: "hubert", "w2v", "melspec" or "phoneme_ctc".
    # Change: for machines without internet or small models.
    "audio_encoder": "hubert",
    # Where HuBERT comes from, or a WavLM, data2vec, UniSpeech or UniSpeech-SAT that listens in its place. Hub models
    # are kept under TORCH_CACHE_ROOT.
    # Type: hub name, local folder, or torchaudio's .pth of HUBERT_BASE.
    # Change: to a folder on machines without internet.
    "hubert_model": "facebook/hubert-base-ls960",
    # Where wav2vec 2.0 comes from, or a model of the kinds that may take HuBERT's place.
    # Type: hub name, local folder, or torchaudio's .pth of WAV2VEC2_BASE.
    # Change: to a folder on machines without internet.
    "w2v_model": "facebook/wav2vec2-base",
    # Whether HuBERT or wav2vec 2.0 keeps all its pretrained weights; otherwise all but its first two layers adapt. A
    # frozen encoder hears windows of sound in training as it will when streaming, and what it hears is computed once
    # and cached, which makes training faster, on PCA coefficients many times. (phoneme_ctc is always frozen, melspec
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
    # Size of the encoder's features.
    # Type: whole number >= 1; 768 for the base models.
    # Change: for a HuBERT or wav2vec 2.0 of another size.
    "hubert_feature_dim": 768,
}

# Weights to start from: weights.pth of an earlier run with the same network, best in its run's folder. What fits is taken:
# emotions and actors by their names, coefficients through the meshes where both faces have the same vertices. A new
# emotion starts as that of all zeros, a new actor as a known one. The rest starts afresh and is listed with both shapes.
# Type: file or None.
# Change: to go on training, or to fit a good model to a new actor.
PRETRAINED_NET_FPATH = None

## Diffusion

# Steps from a clean face to pure noise that the network is trained on.
# Type: whole number >= 1.
# Change: seldom; the number of steps when running is set by TIMESTEP_RESPACING.
DIFFUSION_STEPS = 1000

# How the noise grows over the steps.
# Type: "cosine" or "linear".
# Change: seldom.
DIFFUSION_NOISE_SCHEDULE = "cosine"

# How much more often noisy steps are trained than clean ones: in half of the items the chance of step t grows as t to this
# power; in the other half all are alike. 0 trains all alike throughout. Only near pure noise must the face be read from the sound, which is what the first step of a deployed model does.
# Type: number >= 0.
# Change: 3 or so for short trainings, when the mouth follows the sound weakly.
STEP_BIAS = 0.0

# Which of the DIFFUSION_STEPS are trained. "" is all, "10" ten evenly spaced ones, "ddim5" five at a fixed stride, "3,4"
# three of the first half and four of the second. config_inference.py has its own, for what is taken of them when a face is
# made; they must be among these.
# Type: text as above; every section must hold as many steps as it keeps.
# Change: seldom; a network that is trained for few steps can be used with these alone.
TIMESTEP_RESPACING = ""

# How the deployed model streams, by frame rate: each window of sound gives `left_truncate + block_frame_size +
# right_truncate` frames, of which the middle block is used. The number of these frames must be window_size at this
# frame rate. For other rates (24, 25, 48, 50 …) an entry is computed: half of the frames are the block, a quarter comes
# before it. Add one to choose otherwise.
STREAMING_CFG = {
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
BATCH_SIZE = 1

# Steps whose gradients are averaged before the weights change: the effective batch is BATCH_SIZE times this.
# Type: whole number >= 1.
# Change: so that the product with BATCH_SIZE stays at 4 or more.
GRADIENT_ACCUMULATION_STEPS = 4

# Passes over the training data.
# Type: whole number >= 1.
# Change: fewer for hours of data, more for a handful of clips; watch speech that is not trained on.
NUM_EPOCHS = 400

# Step size of Adam after the warm-up. From there it falls along a cosine to LR_MIN.
# Type: number > 0.
# Change: halve it when the loss jumps.
LEARNING_RATE = 5e-5

# How LEARNING_RATE (with its whole schedule) follows the batch: "sqrt" and "linear" multiply it by the square root of, or by,
# the batch's size over LEARNING_RATE_BATCH_SIZE.
# Type: "none", "sqrt" or "linear".
# Change: "sqrt" when you enlarge the batch for a GPU; check the result on held-out speech.
LEARNING_RATE_SCALING = "none"

# The batch that LEARNING_RATE is meant for: BATCH_SIZE times GRADIENT_ACCUMULATION_STEPS.
# Type: whole number >= 1; without effect when LEARNING_RATE_SCALING is "none".
# Change: when you have found LEARNING_RATE with another batch.
LEARNING_RATE_BATCH_SIZE = 4

# Step size at the last epoch.
# Type: number >= 0, not above LEARNING_RATE.
# Change: together with LEARNING_RATE.
LR_MIN = 1e-5

# Step size at the first epoch; it moves evenly to the cosine's value during the warm-up. This default lies above
# LEARNING_RATE and so begins with larger steps, as existing models were trained.
# Type: number >= 0.
# Change: 1e-6 for a warm-up that starts low, when the first epochs are unsteady.
LR_WARMUP_INIT = 1e-4

# Length of the warm-up.
# Type: whole number >= 0, epochs.
# Change: 0 for none; not more than a tenth of NUM_EPOCHS.
LR_WARMUP_EPOCHS = 10

# Largest norm of the gradient; longer ones are shortened to it.
# Type: number > 0, or None for no limit.
# Change: 1.0 when the loss jumps.
GRADIENT_CLIP_NORM = None

# Share by which Adam shrinks the weights in each step, times the learning rate.
# Type: number >= 0; 0 is off.
# Change: 0.01 or more when training frames are fitted well and new speech is not.
WEIGHT_DECAY = 0.0

# Decay per step of a running mean of the weights, which is then what is saved and exported.
# Type: number, 0 < x < 1, or None for the weights as they are.
# Change: 0.99 for short trainings, 0.999 or more for long ones; it evens out the last steps.
EMA_DECAY = None

## Losses

# Weight of the tongue's error, before squaring: 0.1 counts a hundredth.
# Type: number >= 0.
# Change: higher when the tongue matters.
TONGUE_WEIGHT = 0.1

# Weight of the jaw's error, before squaring.
# Type: number >= 0.
# Change: seldom.
JAW_WEIGHT = 1.0

# Has no effect in diffusion; LOSS_VELOCITY_ALPHA is the loss for motion. The key is kept so that existing configs
# load.
# Type: number >= 0, or None.
# Change: never.
LOSS_MOTION_ALPHA = 0.0

# Weight of the squared error of the skin's frame differences.
# Type: number >= 0, or None for off.
# Change: higher against jitter.
LOSS_VELOCITY_ALPHA = 0.0

# Weight of the penalty on motion of the upper face, against trembling brows. Needs SKIN_EYE_DIST_VERTEX_LIST_FPATH.
# Type: number >= 0, or None for off.
# Change: lower when brows and lids look frozen.
LOSS_EXP_SMOOTH_ALPHA = 25.0

# Weight of the error of the lips' vertical distances: whether the mouth closes when it should. Needs
# SKIN_LIP_DIST_VERTEX_LIST_FPATH; the units are those of the meshes, squared.
# Type: number >= 0, or None for off.
# Change: ten times higher when m, b and p do not close; ten thousand times higher for meshes in metres.
LOSS_LIP_DIST_ALPHA = 1e-5

# How much more closed lips count than open ones: an error counts exp(-EXP x true distance).
# Type: number >= 0, per unit of the meshes; 0 counts all alike.
# Change: with the mesh's units; higher to look at closures only.
LOSS_LIP_DIST_EXP = 10.0

# Further weight of this loss per emotion.
# Type: {emotion: number >= 0}, 1 for those not named; or None.
# Change: lower for emotions acted with an open mouth.
LOSS_LIP_DIST_EMO_WEIGHTS = None

## Output

# Folder in which the run's folder is made.
# Type: folder.
# Change: seldom; move A2F_WORKSPACE_ROOT instead.
TRAIN_OUTPUT_ROOT = "/workspace/output_train"

# Folder in which `run_deploy.py` makes the deployed model.
# Type: folder.
# Change: to deploy straight to where the host looks for models.
FINAL_DEPLOY_ROOT = "/workspace/output_deploy"

# Folder for downloaded models.
# Type: folder.
# Change: to share it between workspaces.
TORCH_CACHE_ROOT = "/workspace/torch_cache"

# Version of the ONNX operators in network.onnx.
# Type: whole number, 14 … 20.
# Change: lower for an old TensorRT.
ONNX_OPSET = 17

# Which of torch's exporters writes network.onnx.
# Type: "torchscript" or "dynamo".
# Change: "dynamo" when torch drops the other.
ONNX_EXPORTER = "torchscript"

## Emotions

# The emotion that has no input of its own: all emotion inputs zero mean it.
# Type: one of SHOT_EMOTION_NAMES, or None when every emotion has an input.
# Change: when the resting emotion has another name.
SHOT_EMOTION_NAME_FOR_ALL_ZEROS = "neutral"

# The emotion that the deployed model offers to hosts that choose none.
# Type: one of SHOT_EMOTION_NAMES.
# Change: to the emotion most speech is in.
DEFAULT_SHOT_EMOTION_NAME = "neutral"

## Log and reproducibility

# Steps between two lines of the log and points of the TensorBoard curves.
# Type: whole number >= 1.
# Change: larger for long trainings.
LOG_PERIOD = 10

# Whether the same seeds give the same weights, bit by bit on the same machine.
# Type: True or False.
# Change: False for more speed on a GPU, where products and convolutions then have the short mantissa of TF32.
REPRODUCIBLE = True

# Seed of the weights, dropout and everything else that torch draws.
# Type: whole number >= 0.
# Change: to see how much a result owes to chance.
RNG_SEED_TORCH = 42

# Seed of order and augmentation of the training items.
# Type: whole number >= 0.
# Change: as RNG_SEED_TORCH.
RNG_SEED_DATASET = 43

## Checkpoints

# Epochs between two checkpoints of the whole training state, from which `run_train.py --resume` goes on.
# Type: whole number >= 1.
# Change: smaller for long epochs.
CHECKPOINT_PERIOD = 10

# Minutes after which a checkpoint is written at the end of a step even when CHECKPOINT_PERIOD has not passed.
# Type: number > 0, minutes.
# Change: to the time you can bear to lose.
CHECKPOINT_MINUTES = 10.0

# Checkpoints that are kept, the newest ones.
# Type: whole number >= 1.
# Change: to go back further.
CHECKPOINT_KEEP = 2

## Speed

# Processes that train together on this machine, one on each GPU (or on part of the CPU's cores). They share each batch:
# BATCH_SIZE and everything else mean the same, and the losses differ by rounding only.
# Type: None or a whole number >= 1; None is one for each visible GPU, but not more than BATCH_SIZE, and 1 without a GPU.
# Change: to leave GPUs to others, or to use several CPU cores with small batches.
NUM_PROCESSES = None

# Precision of the network's matrix products and convolutions in training; weights and losses are always float32.
# Type: "fp32" or "bf16".
# Change: "bf16" on a GPU for speed and memory, or on a processor that has it (AVX-512 BF16, AMX); elsewhere it is slower.
PRECISION = "fp32"

# Whether the network is compiled (torch.compile). The first steps then take minutes, it needs a C++ compiler, and dropout
# and other noise are drawn differently.
# Type: True or False.
# Change: True for long trainings on a GPU.
COMPILE = False

## Memory

# Whether decoded sound stays in memory.
# Type: True or False.
# Change: False when memory is short.
AUDIO_DATA_CACHING = True

# Has no effect in diffusion, which uses no phonemes. The key is kept so that existing configs load.
# Type: True or False.
# Change: never.
PHONEME_DATA_CACHING = True

# Has no effect: targets are coefficients, some hundred values a frame, and always stay in memory. The key is kept so that
# existing configs load.
# Type: True or False.
# Change: never.
TARGET_DATA_CACHING = False

# Has no effect: each batch of targets goes to the device that trains when it is due. The key is kept so that existing
# configs load.
# Type: True or False.
# Change: never.
TARGET_OBJECTS_TO_CUDA = True

# Takes of every clip of which a frozen encoder's features are computed and cached; segments draw one of them. Takes
# spread over AUGMENT["timeshift"] and over where the encoder's windows begin, and draw pitch shift and noise once each.
# Type: whole number >= 1.
# Change: 2 when the cache gets too large, more with pitch shift; 1 is no time shift at all where features are kept.
TIMESHIFT_GRID = 4

# Memory for these cached features. When they need more they are computed anew in every step.
# Type: number >= 0, gigabytes; 0 never caches.
# Change: to what the machine can spare; without a frozen encoder it has no effect.
FEATURE_CACHE_GB = 4.0
