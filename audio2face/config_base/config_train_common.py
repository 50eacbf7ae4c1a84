"""Keys of config_train.py that several methods share, with the same default and manual.

config_train_regression_base.py and those of other methods import them where they belong among their own keys.
"""

from typing import Literal

from audio2face.config.kinds import Clip, Count, Decay, EmotionWeights, File, Files, Folder, GroupWeights, MutedShot, Name, NotNegative, Opset, Positive, RunByActor, Seed, Switch, Text, ValidationClips, Word  # fmt: skip

## Run

# Name of this run; the folder is `YYMMDD_HHMMSS_<RUN_NAME>`.
# Type: letters, digits, `_`, `-`, `.`; begins and ends with a letter, digit or `_`; no `..`.
# Change: give each experiment its own name, since `latest` means the newest run of this name.
RUN_NAME: Name = "default"

# A remark for yourself, kept in the run's info.txt.
# Type: text, any length.
# Change: whenever you will wonder later what this run was.
RUN_INFO: Text = ""

# Version of the model, written into network_info.json of the deployed model.
# Type: text.
# Change: for every model that you hand to others.
NETWORK_VERSION: Word = "0.1"

## Preprocessing runs

# Folder with the preprocessing runs.
# Type: folder.
# Change: when PREPROC_OUTPUT_ROOT was changed.
PREPROC_ROOT: Folder = "/workspace/output_preproc"

# The preprocessing run of each actor, as `run_preproc.py` printed it. "latest", and a missing entry, mean the newest
# finished run of the actor with the RUN_NAME of config_preproc.py.
# Type: {actor: full run name or "latest"}.
# Change: to tie a training to one certain run.
PREPROC_RUN_NAME_FULL: RunByActor = {}

# Skin coefficients from elsewhere than the preprocessing run (its pca/skin/skin_pca_coeffs_all.npz).
# Type: {actor: .npz file, {shot: (frames, K)}}.
# Change: when you made your own.
SKIN_PCA_COEFFS_FPATH: Files = {}

# Skin components from elsewhere than the preprocessing run (its pca/skin/skin_pca_shapes.npz).
# Type: {actor: .npz file, shapes_matrix (K, V, 3), shapes_mean (V, 3)}.
# Change: together with SKIN_PCA_COEFFS_FPATH.
SKIN_PCA_SHAPES_FPATH: Files = {}

# Tongue coefficients from elsewhere than the preprocessing run.
# Type: {actor: .npz file, {shot: (frames, Kt)}}.
# Change: when you made your own.
TONGUE_PCA_COEFFS_FPATH: Files = {}

# Tongue components from elsewhere than the preprocessing run.
# Type: {actor: .npz file, shapes_matrix (Kt, Vt, 3), shapes_mean (Vt, 3)}.
# Change: together with TONGUE_PCA_COEFFS_FPATH.
TONGUE_PCA_SHAPES_FPATH: Files = {}

# Sizes, scales and origins of the channels from elsewhere than the preprocessing run (its deploy/data_info.json).
# Type: {actor: .json file}.
# Change: when you made your own.
DATA_INFO_FPATH: Files = {}

# List of shots from elsewhere than the preprocessing run (its deploy/shots.json).
# Type: {actor: .json file, [[actor, shot, frames, fps, emotion], …]}.
# Change: when you made your own.
SHOT_LIST_FPATH: Files = {}

## Audio

# How a sound file becomes samples: "w2v" averages the channels, resamples and remembers the peak of the track; "nva2f"
# divides by the peak first and resamples then.
# Type: "w2v" or "nva2f".
# Change: never for new models.
AUDIO_PREPROC_METHOD: Literal["w2v", "nva2f"] = "w2v"

## Clips

# What is trained on: frames of shots, each with its sound. Preprocessing prints a list to paste here (and keeps it in
# deploy/clips_template.py); empty means all of that list, for every actor. The same shot may occur several times, with
# other voices or other ranges.
# Type: list of (actor, shot, (first frame, last frame), speaker, language, audio file, audio offset): frames of the
#   cache, the last included; the audio file relative to AUDIO_ROOT; the offset in frames, frame i being heard at frame
#   i + offset of the file.
# Change: to leave out parts, keep shots for testing, add voices, or correct a shift between sound and face.
CLIPS: list[Clip] = []

# Shots that are never trained on but measured on: during training (VALIDATION_PERIOD) and by run_evaluate.py. Whole
# shots are kept out, also in other voices and ranges that CLIPS names.
# Type: share of the shots between 0 and 1 (drawn evenly from each actor's emotions, the same every time), a pattern of
#   shot names such as "*_07_*", or a list of shot names, patterns and clips in the form of CLIPS; None for none. A tenth
#   of fewer than 5 shots is none, too.
# Change: to shots that represent all others, or to None when every shot is needed for training.
VALIDATION_CLIPS: ValidationClips = 0.1

# Epochs between two measurements on VALIDATION_CLIPS, which go to TensorBoard (validation/...) and metrics.jsonl.
# Type: whole number >= 1, epochs.
# Change: larger when measuring takes long beside training.
VALIDATION_PERIOD: Count = 5

# Epochs between two previews: four seconds of a held-out clip, truth beside prediction with sound, as previews/*.mp4 and
# pictures in the run, and as images in TensorBoard. Previews that would take more than a twentieth of the training's
# time are skipped, except after the last epoch. Videos need SKIN_TRIANGLES_FPATH and the extra `video`.
# Type: whole number >= 1, epochs; None for none.
# Change: smaller to see the first epochs, None when nobody looks.
PREVIEW_PERIOD: Count | None = 10

# Ends the training after this many measurements in a row without a better BEST_METRIC.
# Type: whole number >= 1, measurements (VALIDATION_PERIOD epochs each); None: never.
# Change: to 5 or so when you do not know how many epochs the data needs, together with EXPORT_WEIGHTS = "best".
EARLY_STOPPING_PATIENCE: Count | None = None

# Which weights are saved as weights.pth and exported in the end. The last ones (averaged, with EMA_DECAY) do not depend
# on the few shots of VALIDATION_CLIPS; the best ones are those of the best measurement on them.
# Type: "last" or "best".
# Change: to "best" when the measurements get worse towards the end of a training.
EXPORT_WEIGHTS: Literal["last", "best"] = "last"

## Augmentation

# Silent clips that hold one pose, made for training: the face of an emotion without a voice. The sound is the noise
# of the AUG_MUTED_AUDIO_NOISE keys.
# Type: list of (actor, (source shot, source frame), length in frames, emotion).
# Change: give one entry per emotion, 100 frames or more, or the face will twitch in silence.
AUG_MUTED_SHOTS: list[MutedShot] = []

# Whether silent clips of the neutral emotion (SHOT_EMOTION_NAME_FOR_ALL_ZEROS; without one DEFAULT_SHOT_EMOTION_NAME)
# hold the neutral skin, jaw and eyes instead of those of the chosen pose.
# Type: True or False.
# Change: False when the actor's resting face should differ from the neutral mesh.
AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO: Switch = True

# Whether silent clips hold the neutral tongue.
# Type: True or False.
# Change: True when the chosen poses catch the tongue in the middle of a sound.
AUG_MUTED_TONGUE_IS_NEUTRAL: Switch = False

# Sound of the silent clips: "mic" is the hiss of a room and microphone, "gauss" white noise, None digital silence.
# Type: "mic", "gauss" or None.
# Change: never, unless your recordings are perfectly clean.
AUG_MUTED_AUDIO_NOISE_TYPE: Literal["mic", "gauss"] | None = "mic"

# Loudness of that noise.
# Type: number >= 0, factor on the samples.
# Change: raise it when the face moves in noisy pauses of your recordings.
AUG_MUTED_AUDIO_NOISE_SCALE: NotNegative = 0.1

## Network

# Weights to start from: weights.pth of an earlier run with the same network, best in its run's folder. What fits is
# taken: emotions and actors by their names, coefficients through the meshes where both faces have the same vertices. A
# new emotion starts as that of all zeros, a new actor as a known one. The rest starts from scratch and is listed with
# both shapes.
# Type: file or None.
# Change: to continue training, or to fit a good model to a new actor.
PRETRAINED_NET_FPATH: File | None = None

## Optimisation

# How LEARNING_RATE (with its whole schedule) follows the batch: "sqrt" and "linear" multiply it by the square root of,
# or by, the batch's size over LEARNING_RATE_BATCH_SIZE.
# Type: "none", "sqrt" or "linear".
# Change: "sqrt" when you enlarge the batch for a GPU; check the result on held-out speech.
LEARNING_RATE_SCALING: Literal["none", "sqrt", "linear"] = "none"

# Share by which Adam shrinks the weights in each step, times the learning rate.
# Type: number >= 0; 0 is off.
# Change: 0.01 or more when training frames are fitted well and new speech is not.
WEIGHT_DECAY: NotNegative = 0.0

# Decay per step of a running mean of the weights, which is then what is saved and exported.
# Type: number, 0 < x < 1, or None for the weights as they are.
# Change: 0.99 for short trainings, 0.999 or more for long ones; it evens out the last steps.
EMA_DECAY: Decay | None = None

## Losses

# Further weight of this loss per emotion.
# Type: {emotion: number >= 0}, 1 for those not named; or None.
# Change: lower for emotions acted with an open mouth.
LOSS_LIP_DIST_EMO_WEIGHTS: EmotionWeights = None

# Weight of each group of curves in their squared error, next to that of the face.
# Type: {group: number >= 0}; 1.0 for those not named.
# Change: higher for the group that matters most.
LOSS_CURVES_ALPHA: GroupWeights = {}

# Weight of the squared error of each group's frame differences.
# Type: {group: number >= 0}; 1.0 for those not named.
# Change: higher against jitter.
LOSS_CURVES_MOTION_ALPHA: GroupWeights = {}

## Output

# Folder in which the run's folder is made.
# Type: folder.
# Change: seldom; move A2F_WORKSPACE_ROOT instead.
TRAIN_OUTPUT_ROOT: Folder = "/workspace/output_train"

# Folder in which `run_deploy.py` makes the deployed model.
# Type: folder.
# Change: to deploy straight to where the host looks for models.
FINAL_DEPLOY_ROOT: Folder = "/workspace/output_deploy"

# Folder for downloaded models.
# Type: folder.
# Change: to share it between workspaces.
TORCH_CACHE_ROOT: Folder = "/workspace/torch_cache"

# Version of the ONNX operators in network.onnx.
# Type: whole number, 14 … 20.
# Change: lower for an old TensorRT.
ONNX_OPSET: Opset = 17

# Which of torch's exporters writes network.onnx.
# Type: "torchscript" or "dynamo".
# Change: "dynamo" when torch drops the other.
ONNX_EXPORTER: Literal["torchscript", "dynamo"] = "torchscript"

## Emotions

# The emotion that has no input of its own: all emotion inputs zero mean it.
# Type: one of SHOT_EMOTION_NAMES, or None when every emotion has an input.
# Change: when the resting emotion has another name.
SHOT_EMOTION_NAME_FOR_ALL_ZEROS: Word | None = "neutral"

# The emotion that the deployed model offers to hosts that choose none.
# Type: one of SHOT_EMOTION_NAMES.
# Change: to the emotion most speech is in.
DEFAULT_SHOT_EMOTION_NAME: Word = "neutral"

## Log and reproducibility

# Whether the same seeds give the same weights, bit by bit on the same machine.
# Type: True or False.
# Change: False for more speed on a GPU, where products and convolutions then have the short mantissa of TF32.
REPRODUCIBLE: Switch = True

# Seed of the weights, dropout and everything else that torch draws.
# Type: whole number >= 0.
# Change: to see how much a result owes to chance.
RNG_SEED_TORCH: Seed = 42

# Seed of order and augmentation of the training items.
# Type: whole number >= 0.
# Change: as RNG_SEED_TORCH.
RNG_SEED_DATASET: Seed = 43

## Checkpoints

# Epochs between two checkpoints of the whole training state, from which `run_train.py --resume` continues.
# They are written beside the training, from a copy of its state in memory.
# Type: whole number >= 1; None for CHECKPOINT_MINUTES alone.
# Change: smaller for long epochs, None for short ones.
CHECKPOINT_PERIOD: Count | None = 10

# Minutes after which a checkpoint is written at the end of a step even when CHECKPOINT_PERIOD has not passed.
# Type: number > 0, minutes.
# Change: to the time you can bear to lose.
CHECKPOINT_MINUTES: Positive = 10.0

# The most that checkpoints write in an hour: the larger they are, the further apart. Those that are due sooner wait; the
# last one never does.
# Type: number > 0, gigabytes; None for no limit.
# Change: to what a disk or a share bears in trainings of hours; 5 with checkpoints of 2 GB is one every 24 minutes.
CHECKPOINT_GB_PER_HOUR: Positive | None = None

# Checkpoints that are kept, the newest ones. Older ones are removed before a new one is written, all but the newest.
# Type: whole number >= 1.
# Change: to go back further.
CHECKPOINT_KEEP: Count = 2

## Speed

# Processes that train together on this machine, one on each GPU (or on part of the CPU's cores). They share each batch:
# BATCH_SIZE and everything else mean the same, and the losses differ by rounding only.
# Type: None or a whole number >= 1; None is one for each visible GPU, at most BATCH_SIZE, and 1 without a GPU.
# Change: to leave GPUs to others, or to use several CPU cores with small batches.
NUM_PROCESSES: Count | None = None

# Precision of the network's matrix products and convolutions in training; weights and losses are always float32.
# Type: "fp32" or "bf16".
# Change: "bf16" on a GPU for speed and memory, or on a processor that has it (AVX-512 BF16, AMX); elsewhere it is
#   slower.
PRECISION: Literal["fp32", "bf16"] = "fp32"

# Whether the network is compiled (torch.compile). The first steps then take minutes, it needs a C++ compiler, and
# dropout and other noise are drawn differently.
# Type: True or False.
# Change: True for long trainings on a GPU.
COMPILE: Switch = False

## Memory

# Whether decoded sound stays in memory.
# Type: True or False.
# Change: False when memory is short; DATA_MEMORY_GB is quicker.
AUDIO_DATA_CACHING: Switch = True

# Memory for the sound and the targets of the clips. If they need more, they are kept in a file in FEATURE_CACHE_ROOT while
# the training runs, and every step reads there what it needs; the batches are the same.
# Type: number > 0, gigabytes; None for half of what is free on the machine and on its GPU when the training begins.
# Change: to what the machine can spare; an hour of speech takes 0.3 GB (64 kB of sound and 20 kB of targets a second).
DATA_MEMORY_GB: Positive | None = None

# Folder in which the features of frozen wav2vec 2.0, HuBERT, Whisper and phoneme_ctc encoders are kept on disk. They are
# found by the content of the sound, the weights and the settings: every training that needs the same ones shares them.
# Type: folder.
# Change: to a fast disk with room, or to share it between workspaces.
FEATURE_CACHE_ROOT: Folder = "/workspace/feature_cache"

# Disk space for them. Features that were not used for longest are removed first. A training that needs more keeps none on
# disk; FEATURE_CACHE_GB then decides alone.
# Type: number >= 0, gigabytes; 0 keeps nothing on disk.
# Change: larger for hours of speech (an hour of regression on wav2vec 2.0 takes 17 GB, with PRECISION = "bf16" as much).
FEATURE_CACHE_DISK_GB: NotNegative = 100.0
