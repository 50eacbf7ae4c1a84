"""config_preproc.py controls `run_preproc.py`: which poses describe the actor, and how finely.

Preprocessing chooses distinct poses from all shots, finds their principal components (PCA), expresses every frame in
them, and bundles what training and the deployed model need into one run folder.
"""

from typing import Literal

from audio2face.config.kinds import Count, CountByActor, Files, Folder, Folders, GroupCounts, Name, NameByActor, NotNegative, Positive, Share, ShotsByActor, Switch, Text, ThreeOrMore  # fmt: skip

## Run

# Name of this run; the folder is `YYMMDD_HHMMSS_<RUN_NAME>`.
# Type: letters, digits, `_`, `-`, `.`; begins and ends with a letter, digit or `_`; no `..`.
# Change: give each variant its own name, since `latest` means the newest run of this name.
RUN_NAME: Name = "default"

# A remark for yourself, kept in the run's info.txt.
# Type: text, any length.
# Change: whenever you will wonder later what this run was.
RUN_INFO: Text = ""

## Choosing skin poses

# Caches of a coarser version of the same shots, used only to choose poses. The chosen frames are then read from
# SKIN_CACHE_ROOT.
# Type: {actor: folder}, laid out like SKIN_CACHE_ROOT, frame by frame the same.
# Change: when the full caches are slow to read and coarse ones exist.
SKIN_PRUNE_CACHE_ROOT: Folders = {}

# Which channel of these coarser Maya caches to read, when they hold several.
# Type: {actor: channel}, the name as the cache's .xml has it.
# Change: when a message lists several channels of positions.
SKIN_PRUNE_CACHE_CHANNEL: NameByActor = {}

# Vertices that count when poses are compared; all of them without it. Use the moving parts of the face, not the back
# of the head.
# Type: {actor: .npy or .json file}, a mask with one 0 or 1 for each vertex, or a list of vertices; of the mesh that is
# used for choosing.
# Change: for meshes with many vertices that never move.
SKIN_PRUNE_MESH_MASK_FPATH: Files = {}

# Shots to use, for choosing poses and for the coefficients. Without an entry all shots of the folder are used.
# Type: {actor: [shot, …]}.
# Change: to leave out bad takes.
SKIN_CACHE_SHOTS: ShotsByActor = {}

# Shots to choose poses from, when not all of SKIN_CACHE_SHOTS should count.
# Type: {actor: [shot, …]}; they must exist in SKIN_PRUNE_CACHE_ROOT when that is given.
# Change: when coarse caches exist only for some shots, or a few shots already show every expression.
SKIN_PRUNE_CACHE_SHOTS: ShotsByActor = {}

# Within a shot, a pose is dropped when it lies nearer than this to a kept one (Euclidean distance over all coordinates
# of all counted vertices at once, so it grows with the square root of their number).
# Type: number >= 0, units of the meshes; 0 keeps every frame.
# Change: smaller when the log says that few frames remain, larger when choosing takes long; for meshes in metres
#   divide it by 100.
SKIN_PRUNE_SIM_DIST: NotNegative = 4.0

# At most this many poses are chosen, each time the one that the poses so far explain worst. It ends earlier when
# nothing new is left.
# Type: whole number >= 1.
# Change: lower to save time and memory, higher for very rich data.
SKIN_SELECT_DISTINCT_MAX_ITER: Count = 787

## Skin components

# Components are kept until they explain more than this share of the variance of the chosen poses.
# Type: number, 0 < x <= 1.
# Change: look at the reconstruction error in the final table: raise it when fine wrinkles are lost, lower it for a
#   smaller network.
SKIN_PCA_VARIANCE_THRESHOLD: Share = 0.9995

# An exact number of components instead of the threshold.
# Type: {actor: whole number >= 1}.
# Change: to get the same size for several actors or runs.
SKIN_FORCE_COMPONENTS: CountByActor = {}

## Tongue

# Tongue shots to use. Without an entry all of them.
# Type: {actor: [shot, …]}.
# Change: to leave out badly tracked shots.
TONGUE_CACHE_SHOTS: ShotsByActor = {}

# As SKIN_PRUNE_SIM_DIST for the tongue, after its rigid motion is removed.
# Type: number >= 0, units of the meshes.
# Change: with the mesh's units and number of vertices; smaller when the log says that few tongue frames remain.
TONGUE_PRUNE_SIM_DIST: NotNegative = 10.0

# As SKIN_PCA_VARIANCE_THRESHOLD for the tongue.
# Type: number, 0 < x <= 1.
# Change: by the tongue's reconstruction error in the final table.
TONGUE_PCA_VARIANCE_THRESHOLD: Share = 0.9995

# An exact number of tongue components instead of the threshold.
# Type: {actor: whole number >= 1}.
# Change: as SKIN_FORCE_COMPONENTS.
TONGUE_FORCE_COMPONENTS: CountByActor = {}

## Curves

# Principal components of a wide group of curves, in place of its values.
# Type: {actor: {group: whole number >= 1}}; without an entry every value is learned by itself.
# Change: for groups of hundreds of columns that move together.
CURVES_COMPONENTS: GroupCounts = {}

## Placeholders for missing data

# Shape of the jaw key points when JAW_KEYPOINTS_NEUTRAL_FPATH is missing: five well-spread points that do not move.
# Type: (points >= 3, 3).
# Change: never, unless your runtime expects another number of points.
DEFAULT_JAW_KEYPOINTS_SHAPE: tuple[ThreeOrMore, Literal[3]] = (5, 3)

# Shape of the blink keys when EYE_BLINK_KEYS_FPATH is missing: zeros, eyes open.
# Type: (keys >= 1,).
# Change: never.
DEFAULT_EYE_BLINK_KEYS_SHAPE: tuple[Count] = (10,)

# Shape of the saccades when EYE_SACCADE_ROTATIONS_FPATH is missing: zeros, eyes still.
# Type: (rows >= 1, 2).
# Change: never.
DEFAULT_EYE_SACCADE_ROT_SHAPE: tuple[Count, Literal[2]] = (5000, 2)

# Components, vertices and axes of the still tongue that is used when TONGUE_CACHE_ROOT is missing.
# Type: (components >= 1, vertices >= 1, 3).
# Change: when the host expects a certain tongue mesh although you have no data for it.
DEFAULT_TONGUE_PCA_SHAPE: tuple[Count, Count, Literal[3]] = (10, 520, 3)

## Output and resources

# Folder in which the run's folder is made.
# Type: folder.
# Change: seldom; move A2F_WORKSPACE_ROOT instead.
PREPROC_OUTPUT_ROOT: Folder = "/workspace/output_preproc"

# Log every step and every shot.
# Type: True or False.
# Change: when a result surprises you.
VERBOSE: Switch = False

# Memory to stay below while choosing poses and fitting. More data than fits is read in blocks.
# Type: number > 0, gigabytes.
# Change: raise it on a large machine (fewer passes over the caches), lower it when memory is short.
PREPROC_MEMORY_GB: Positive = 2.0
