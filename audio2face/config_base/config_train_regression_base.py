"""config_train.py for NETWORK_TYPE "regression": one window of sound in, one frame of the face out.

Regression is small, trains in minutes to hours, has no memory between frames and answers at once.
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
NETWORK_TYPE = "regression"

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

## Target

# What the network puts out. Mesh channels are PCA coefficients here.
# Type: list without repetition of "skin_coeffs" (required), "tongue_coeffs", "jaw", "eye".
# Change: leave it; the deployed model needs all four, and data that is missing becomes a placeholder.
TARGET_CHANNELS = ["skin_coeffs", "tongue_coeffs", "jaw", "eye"]

# Frame rate at which the network is trained. Caches of another rate are resampled by time.
# Type: frames per second, > 0.
# Change: to the rate of your caches; a higher one invents no detail.
TARGET_FPS = 30.0

# Whether each channel is divided by its scale (and shifted to its origin) for training.
# Type: True or False.
# Change: seldom for regression, whose coefficients and lip distances are in the units of the meshes; True when the
#   meshes are not in centimetres.
RESCALE_TARGET_CHANNEL_DATA = False

## Audio

# How a sound file becomes samples: "w2v" averages the channels, resamples and remembers the peak of the track; "nva2f"
# divides by the peak first and resamples then.
# Type: "w2v" or "nva2f".
# Change: never for new models.
AUDIO_PREPROC_METHOD = "w2v"

# The window of sound for one frame. It is written into the deployed model.
AUDIO_PARAMS = {
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
# Type: "lip_vertex_error_mm", "mouth_opening_correlation", "mouth_opening_error_mm", "mouth_opening_relative_error",
#   "MSE"; None: the lip vertex error, or without lip vertex lists the MSE.
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

## Augmentation

# Random changes of the training data.
AUGMENT = {
    # Frames and sound are shifted together by a random part of a frame, and the target is interpolated, so that the
    # network also learns the times between frames.
    # Type: number >= 0, frames (range of the shift); 0 switches it off.
    # Change: never above 1.
    "timeshift": 1.0,
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

# Further factor on the noise, drawn from this range for every window of a silent clip and time shift.
# Type: (lowest, highest), numbers >= 0.
# Change: together with AUG_MUTED_AUDIO_NOISE_SCALE.
AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE = (0.0, 1.0)

## Items

# Consecutive frames in one training item. Motion losses need two.
# Type: whole number >= 1, frames.
# Change: seldom; more frames make items slower, not better.
SEQ_LEN = 2

# Distance between the starts of two items.
# Type: whole number >= 1, frames.
# Change: larger for shorter epochs on very much data.
SEQ_STRIDE = 1

# Whether items with closed eyes are left out of the losses, so that the network does not learn to blink at random.
# Needs SKIN_EYE_DIST_VERTEX_LIST_FPATH.
# Type: True or False.
# Change: False when the shots have no blinks, or blinks must be learned.
REMOVE_CLOSING_EYE = True

# Eyes count as closed when the mean distance of the lids is not larger than this.
# Type: number >= 0, units of the meshes.
# Change: with the mesh's units, and to about a third of the open distance.
EYE_DIST_THRESHOLD = 0.35

## Phonemes

# Languages whose clips also teach the network to recognise phonemes, through a head that is not exported. It keeps the
# audio features close to what the mouth must do.
# Type: list of languages as in CLIPS; what exists depends on PHONEME_MODEL.
# Change: to the languages of your clips; [] or LOSS_PHONEME_ALPHA None switches it off.
PHONEME_FORCING_LANGS = ["en"]

# Model that hears the true phonemes for that: "charsiu" takes the published English or Chinese model from the model
# hub (a download), a hub name or a local folder takes a model of that kind, and "hama" takes the multilingual one of
# the optional `hama` package (no download).
# Type: "charsiu", "hama", a hub name, or a folder.
# Change: "hama" for machines without internet.
PHONEME_MODEL = "charsiu"

# Softens the phoneme model's probabilities before they become targets.
# Type: number > 0; 1 as they are, larger is softer.
# Change: 2 or more when that model is often surely wrong, for example on accented speech.
PHONEME_PROB_TEMPERATURE = 1.0

## Network

# The network.
# Type: "conv_w2v_autocorr".
# Change: when you added your own to audio2face/networks.
NETWORK_NAME = "conv_w2v_autocorr"

# Its parameters. Of the four audio features at least one must be on; those that are on are used together.
NETWORK_HYPER_PARAMS = {
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
    # Change: True instead of wav2vec 2.0 on machines without internet, where log-mel does not satisfy.
    "use_phoneme_ctc_features": False,
    # Where wav2vec 2.0 comes from, or a HuBERT, WavLM, data2vec, UniSpeech or UniSpeech-SAT that listens in its place.
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
    # Size of the implicit emotion, a learned vector for every training frame that holds what the sound does not tell.
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
EMO_INIT_SIGMA = 0.01

# Weights to start from: weights.pth of an earlier run with the same network, best in its run's folder. What fits is taken:
# emotions and actors by their names, coefficients through the meshes where both faces have the same vertices. A new
# emotion starts as that of all zeros, a new actor as a known one. The rest starts afresh and is listed with both shapes.
# Type: file or None.
# Change: to go on training, or to fit a good model to a new actor.
PRETRAINED_NET_FPATH = None

## Optimisation

# Items in one step.
# Type: whole number >= 1.
# Change: larger on a strong GPU, with a larger LEARNING_RATE.
BATCH_SIZE = 32

# Passes over the training data.
# Type: whole number >= 1.
# Change: fewer for tens of thousands of frames, more for one or two shots; watch speech that is not trained on.
NUM_EPOCHS = 50

# Step size of Adam at the start.
# Type: number > 0.
# Change: halve it when the loss jumps.
LEARNING_RATE = 0.0002

# How LEARNING_RATE (with its whole schedule) follows the batch: "sqrt" and "linear" multiply it by the square root of, or by,
# the batch's size over LEARNING_RATE_BATCH_SIZE.
# Type: "none", "sqrt" or "linear".
# Change: "sqrt" when you enlarge the batch for a GPU; check the result on held-out speech.
LEARNING_RATE_SCALING = "none"

# The batch that LEARNING_RATE is meant for: BATCH_SIZE.
# Type: whole number >= 1; without effect when LEARNING_RATE_SCALING is "none".
# Change: when you have found LEARNING_RATE with another batch.
LEARNING_RATE_BATCH_SIZE = 32

# Factor on the learning rate for the implicit emotions.
# Type: number >= 0; 0 keeps them at their random start.
# Change: smaller when training frames are fitted well and new speech is not.
EMO_LR_MULT = 1.0

# Factor on the learning rate after each epoch.
# Type: number, 0 < x <= 1.
# Change: with NUM_EPOCHS, so that the rate ends at a half to a fifth.
LR_STEP_GAMMA = 0.994

# How the learning rate falls: "step" by LR_STEP_GAMMA only, "cosine" also along half a cosine to a fiftieth at the end.
# Type: "step" or "cosine".
# Change: "cosine" for a better fit to new speech in short trainings.
LR_SCHEDULE = "step"

# Share by which Adam shrinks the weights in each step, times the learning rate.
# Type: number >= 0; 0 is off.
# Change: 0.01 or more when training frames are fitted well and new speech is not.
WEIGHT_DECAY = 0.0

# Decay per step of a running mean of the weights, which is then what is saved and exported.
# Type: number, 0 < x < 1, or None for the weights as they are.
# Change: 0.99 for short trainings, 0.999 or more for long ones; it evens out the last steps.
EMA_DECAY = None

## Losses

# Weight of the mean squared error of all channels.
# Type: number >= 0, or None for off.
# Change: it is the measure of the others; leave it at 1.
LOSS_MSE_ALPHA = 1.0

# Weight of the squared error of frame differences: motion as fast and as steady as the truth's.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher against jitter, lower when motion looks damped.
LOSS_MOTION_ALPHA = 10.0

# Weight of the regulariser that keeps the implicit emotion from changing between neighbouring frames.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher when training fits well but new speech moves the face too little.
LOSS_EMO_REG_ALPHA = 1.0

# Weight of the error of the lips' vertical distances: whether the mouth closes when it should. Needs
# SKIN_LIP_DIST_VERTEX_LIST_FPATH; the units are those of the meshes, squared.
# Type: number >= 0, or None for off.
# Change: higher when m, b and p do not close; ten thousand times higher for meshes in metres.
LOSS_LIP_DIST_ALPHA = 100.0

# How much more closed lips count than open ones: an error counts exp(-EXP x true distance).
# Type: number >= 0, per unit of the meshes; 0 counts all alike.
# Change: with the mesh's units; higher to look at closures only.
LOSS_LIP_DIST_EXP = 1.0

# Further weight of this loss per emotion.
# Type: {emotion: number >= 0}, 1 for those not named; or None.
# Change: lower for emotions acted with an open mouth.
LOSS_LIP_DIST_EMO_WEIGHTS = None

# Weight of the error of the lips' heights, so that lips are pressed and not only moved. Needs
# SKIN_LIP_SIZE_VERTEX_LIST_FPATH.
# Type: number >= 0, or None for off.
# Change: try 100 when lips look stiff.
LOSS_LIP_SIZE_ALPHA = None

# Further weight of this loss per emotion.
# Type: {emotion: number >= 0}, 1 for those not named; or None.
# Change: as LOSS_LIP_DIST_EMO_WEIGHTS.
LOSS_LIP_SIZE_EMO_WEIGHTS = None

# Weight of the stabiliser that forbids motion while the sound is silent (all channels but the eyes).
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2.
# Change: higher against trembling in pauses.
LOSS_VOL_STAB_REG_ALPHA = 100.0

# How soon sound counts as not silent: motion counts exp(-EXP x mean |sample|).
# Type: number >= 0.
# Change: lower when your pauses are noisy.
LOSS_VOL_STAB_REG_EXP = 5000.0

# Weight of the phoneme head's cross-entropy.
# Type: number >= 0, or None for no phonemes at all.
# Change: None without a phoneme model; higher with little data.
LOSS_PHONEME_ALPHA = 0.1

# Weight of the phoneme "silence" among the phonemes.
# Type: number >= 0.
# Change: lower when clips have long pauses.
LOSS_PHONEME_SIL_WEIGHT = 1.0

# Weight of the error of the phoneme probabilities' frame differences.
# Type: number >= 0, or None for off. Needs SEQ_LEN >= 2 and LOSS_PHONEME_ALPHA.
# Change: together with LOSS_PHONEME_ALPHA.
LOSS_PHONEME_MOTION_ALPHA = 0.05

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

# Whether the deployed table of implicit emotions keeps only the frames that clips use.
# Type: True or False.
# Change: True for a smaller file when shots are used in part.
COMPACTIFY_IMPLICIT_EMO_DB = False

## Log and reproducibility

# Steps between two lines of the log and points of the TensorBoard curves.
# Type: whole number >= 1.
# Change: larger for long trainings.
LOG_PERIOD = 50

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

# Has no effect: phoneme probabilities, 50 rows a second, always stay in memory. The key is kept so that existing configs
# load.
# Type: True or False.
# Change: never.
PHONEME_DATA_CACHING = True

# Has no effect: targets are coefficients, some hundred values a frame, and always stay in memory. The key is kept so that
# existing configs load.
# Type: True or False.
# Change: never.
TARGET_DATA_CACHING = True

# Has no effect: targets always lie on the device that trains. The key is kept so that existing configs load.
# Type: True or False.
# Change: never.
TARGET_OBJECTS_TO_CUDA = True

# Time shifts, evenly spaced over AUGMENT["timeshift"], for which the frozen audio features are computed and cached;
# items draw one of them.
# Type: whole number >= 1.
# Change: 2 when the cache gets too large, more for a finer shift; 1 is no shift at all.
TIMESHIFT_GRID = 4

# Memory for these cached features. When they need more they are computed anew in every step.
# Type: number >= 0, gigabytes; 0 never caches.
# Change: to what the machine can spare; the cache makes training many times faster.
FEATURE_CACHE_GB = 4.0
