"""A project (`configs/<name>/config_*.py`) for an imported data set, ready for preprocessing and training."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from audio2face.importing.dataset import Written
from audio2face.paths import atomic, host_root

NEUTRAL = "neutral"
EMOTIONS = (
    "neutral joy happy happiness anger angry sadness sad fear disgust surprise amazement contempt grief pain "
    "cheekiness outofbreath calm bored excited"
).split()
PRUNE_DISTANCE = 4.0  # the default of SKIN_PRUNE_SIM_DIST, for meshes of many thousand vertices
PRUNE_SHARE = 1 / 5  # of the spread of poses
MASK = "SKIN_PRUNE_MESH_MASK_FPATH"  # the one file that preprocessing's config names
MUTED_FRAMES = 120
FRAMES_SEEN = 20_000  # over all epochs, when there are few: held-out speech gained nothing after that
FEWEST_EPOCHS, MOST_EPOCHS = 12, 24
CLIP_FRAMES = 600  # of conversations, which last minutes


@dataclass(frozen=True)
class Project:
    """What goes into the project's files: the actor, where its data lies, its rate, its language and emotions."""

    actor: str
    home: Path
    fps: float
    emotions: tuple[str, ...]
    language: str
    source: str


def emotions_of(shots: list[str], given: list[str] | None = None) -> tuple[str, ...]:
    """Emotions whose names are words of shots' names, neutral first; or those given."""
    words = {word for shot in shots for word in re.split(r"[\W\d_]+", shot.lower())}
    found = given or [name for name in EMOTIONS if name in words]
    return tuple(dict.fromkeys([NEUTRAL, *found]))


def config_path(home: Path) -> str:
    """The folder as a config names it: below /datasets when it lies in A2F_DATASETS_ROOT."""
    root, full = host_root("/datasets"), home.resolve()
    if root is not None and full.is_relative_to(root.resolve()):
        return str(PurePosixPath("/datasets") / full.relative_to(root.resolve()).as_posix())
    return full.as_posix()


def write_project(folder: Path, project: Project, written: Written) -> tuple[list[Path], list[Path]]:
    """Write the config files that do not exist yet; returns those written, and those that were kept."""
    texts = {
        "config_dataset.py": _dataset(project, written),
        "config_preproc.py": _preproc(folder.name, project, written),
        "config_train.py": _train(folder.name, project, written),
        "config_inference.py": _inference(project, written),
    }
    fresh: list[Path] = []
    kept: list[Path] = []
    for name, text in texts.items():
        path = folder / name
        (kept if path.exists() else fresh).append(path)
        if not path.exists():
            with atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return fresh, kept


def _quoted(value: object) -> str:
    """Names, numbers, tuples, lists and dicts of them as Python writes them, in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {_quoted(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_quoted, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def _dataset(project: Project, written: Written) -> str:
    actor = project.actor
    lines = [
        f'"""{actor}, imported from {project.source}."""',
        "",
        f"_home = {_quoted(config_path(project.home))}",
        "",
        f"ACTOR_NAMES = [{_quoted(actor)}]",
        f"CACHE_FPS = {{{_quoted(actor)}: {_quoted(project.fps)}}}",
        "",
    ]
    lines += [
        f'{key} = {{{_quoted(actor)}: f"{{_home}}/{place}"}}' for key, place in written.files.items() if key != MASK
    ]
    lines += [f"{key} = {{{_quoted(actor)}: {_quoted(name)}}}" for key, name in written.channels.items()]
    if written.groups:
        groups = "".join(
            f'        {_quoted(group)}: f"{{_home}}/{place}",\n' for group, place in written.groups.items()
        )
        lines += ["CURVES_ROOT = {", f"    {_quoted(actor)}: {{", f"{groups}    }},", "}"]
    if written.audio_channels:
        lines.append(f"AUDIO_CHANNELS = {{{_quoted(actor)}: {_quoted(dict(written.audio_channels))}}}")
    lines += ["", f"SHOT_EMOTION_NAMES = {_quoted(list(project.emotions))}"]
    if project.language != "en":
        spoken = {shot.name: project.language for shot in written.shots}
        lines.append(f"SHOT_LANGUAGE_MAP = {{{_quoted(actor)}: {_quoted(spoken)}}}")
    return "\n".join(lines) + "\n"


def _preproc(name: str, project: Project, written: Written) -> str:
    lines = ['"""Preprocessing."""', "", f"RUN_NAME = {_quoted(name)}"]
    if PRUNE_SHARE * written.spread < PRUNE_DISTANCE:
        distance = float(f"{PRUNE_SHARE * written.spread:.2g}")
        lines += ["", "# The mesh has few vertices or moves little: keep poses that are nearer to each other.",
                  f"SKIN_PRUNE_SIM_DIST = {_quoted(distance)}"]  # fmt: skip
    if MASK in written.files:
        place = f"{config_path(project.home)}/{written.files[MASK]}"
        lines += ["", f"{MASK} = {{{_quoted(project.actor)}: {_quoted(place)}}}"]
    return "\n".join(lines) + "\n"


def _train(name: str, project: Project, written: Written) -> str:
    if written.audio_channels:
        return _train_conversation(name, project, written)
    return _train_curves(name, project, written) if written.trained else _train_face(name, project, written)


def _train_face(name: str, project: Project, written: Written) -> str:
    still = _muted(project, written)
    names = [shot.name for shot in written.shots]
    free = [name for name in names if name not in [row[1][0] for row in still]] or names
    lips = "" if "SKIN_LIP_DIST_VERTEX_LIST_FPATH" in written.files else "None  # needs SKIN_LIP_DIST_VERTEX_LIST_FPATH"
    return f"""{_training(name, project, written)}
{MUTED}
AUG_MUTED_SHOTS = [
{_rows(still)}]

# Whole shots are kept out of training for validation: a tenth of them, or those that you name (docs/evaluation.md).
# VALIDATION_CLIPS = [{_quoted(free[-1])}]

{LOG_MEL}
NUM_EPOCHS = 16
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
LR_SCHEDULE = "cosine"
LR_STEP_GAMMA = 1.0
WEIGHT_DECAY = 0.05
EMA_DECAY = 0.998
EMO_LR_MULT = 0.0
LOSS_EMO_REG_ALPHA = None
LOSS_MOTION_ALPHA = 1.0
LOSS_LIP_DIST_ALPHA = {lips or "50.0"}

# Blinks of the recordings are kept.
REMOVE_CLOSING_EYE = False
"""


def _train_curves(name: str, project: Project, written: Written) -> str:
    """Groups of curves alone. The settings are for recordings of seconds to minutes, found on held-out speech."""
    still = _muted(project, written) if "arkit" in written.trained else []
    muted = f"\n{MUTED}\nAUG_MUTED_SHOTS = [\n{_rows(still)}]\n" if still else ""
    frames = sum(shot.num_frames for shot in written.shots if shot.name not in written.held)
    epochs = min(max(round(FRAMES_SEEN / frames), FEWEST_EPOCHS), MOST_EPOCHS)
    held = f"VALIDATION_CLIPS = {_quoted(list(written.held))}\n" if written.held else ""
    return f"""{_training(name, project, written)}{muted}
# The groups of CURVES_ROOT to train on.
TARGET_CHANNELS = {_quoted(list(written.trained))}
TARGET_FPS = {_quoted(project.fps)}

# Whole shots are kept out of training, to measure on: a tenth of them, or those named here (docs/evaluation.md).
{held}VALIDATION_PERIOD = 2

{LOG_MEL}
NUM_EPOCHS = {epochs}
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
LR_SCHEDULE = "cosine"
LR_STEP_GAMMA = 1.0
WEIGHT_DECAY = 0.05
EMA_DECAY = 0.998
EMO_LR_MULT = 0.0
LOSS_EMO_REG_ALPHA = None
LOSS_MOTION_ALPHA = 1.0
LOSS_LIP_DIST_ALPHA = None
REMOVE_CLOSING_EYE = False
"""


def _train_conversation(name: str, project: Project, written: Written) -> str:
    """Groups of curves that follow two sounds, learned as whole sequences."""
    held = f"VALIDATION_CLIPS = {_quoted(list(written.held))}\n" if written.held else ""
    return f"""\"\"\"Diffusion of whole sequences, which hears both who talk, with a log-mel front end: nothing to download.\"\"\"

RUN_NAME = {_quoted(name)}
NETWORK_TYPE = "diffusion"
NETWORK_NAME = "diffusion_transformer"

{_clips(project, written, CLIP_FRAMES)}
# The groups of CURVES_ROOT to train on.
TARGET_CHANNELS = {_quoted(list(written.trained))}
TARGET_FPS = {_quoted(project.fps)}

# Whole shots are kept out of training, to measure on: a tenth of them, or those named here (docs/evaluation.md).
{held}VALIDATION_PERIOD = 10
PREVIEW_PERIOD = 50

BATCH_SIZE = 4
GRADIENT_ACCUMULATION_STEPS = 1
SUBSEGMENT_MIN_FRAME, SUBSEGMENT_MAX_FRAME = 60, 240  # segments of 2 to 8 seconds
LEARNING_RATE = 2e-4
NUM_EPOCHS = 400
EMA_DECAY = 0.999
"""


MUTED = "# A still face in silence: (actor, (shot, frame with closed lips), length, emotion). Look at these frames."
LOG_MEL = """# A log-mel spectrogram needs no download. Whisper beside it (290 MB, downloaded on first use) follows lips a little better;
# without these three settings wav2vec 2.0 is the audio encoder.
NETWORK_HYPER_PARAMS = {
    "use_w2v_features": False,
    "use_autocorr_features": False,
    "use_melspec_features": True,
    # "use_whisper_features": True,
}
LOSS_PHONEME_ALPHA = None
LOSS_PHONEME_MOTION_ALPHA = None
"""


def _training(name: str, project: Project, written: Written) -> str:
    """The beginning of a regression's config_train.py: the method, and the clips."""
    return f'''"""Regression with a log-mel front end: nothing to download, trains on a CPU."""

RUN_NAME = {_quoted(name)}
NETWORK_TYPE = "regression"

{_clips(project, written)}'''


def _clips(project: Project, written: Written, longest: int | None = None) -> str:
    """The key CLIPS; longer ranges are cut into equal parts of at most `longest` frames: an epoch takes one segment of each."""
    actor, language = project.actor, project.language
    rows = []
    for shot in written.shots:
        for first, last in shot.spans:
            parts = -(-(last + 1 - first) // longest) if longest else 1
            edges = [first + round(part * (last + 1 - first) / parts) for part in range(parts + 1)]
            spans = [(start, end - 1) for start, end in pairwise(edges)]
            rows += [(actor, shot.name, span, actor, language, shot.name + shot.suffix, 0) for span in spans]
    return f"""# (actor, shot, (first frame, last frame), speaker, language, sound, frames by which the sound is late)
CLIPS = [
{_rows(rows)}]
"""


def _rows(rows: list[tuple]) -> str:
    return "".join(f"    {_quoted(row)},\n" for row in rows)


def _muted(project: Project, written: Written) -> list[tuple]:
    """The quietest closed mouth of every emotion named by the shots."""
    rows = []
    trained = [s for s in written.shots if s.name not in written.held]
    for emotion in project.emotions:
        words = {s.name: re.split(r"[\W\d_]+", s.name.lower()) for s in written.shots}
        named = [s for s in trained if emotion in words[s.name]]
        if emotion == NEUTRAL:
            named = named or [s for s in trained if not set(words[s.name]) & set(project.emotions)]
        if named:
            best = min(named, key=lambda s: s.opening)
            rows.append((project.actor, (best.name, best.silent), MUTED_FRAMES, emotion))
    return rows


def _inference(project: Project, written: Written) -> str:
    sounds, shown = written.files["AUDIO_ROOT"], (*written.held, written.shots[0].name)[0]
    shot = next(shot for shot in written.shots if shot.name == shown)
    sound = f"{config_path(project.home)}/{sounds}/{shot.name}{shot.suffix}"
    return f'''"""The deployed model as it was recorded, and what run_inference.py animates."""
{_strengths() if not written.trained else ""}
ACTOR_NAME = {_quoted(project.actor)}
EMOTION_LABEL = "neutral"
AUDIO_PATH = {_quoted(sound)}
{_outputs(written) if written.trained else "OUTPUT_NPY_FILE = True"}
'''


def _outputs(written: Written) -> str:
    groups = written.trained
    usual = ["mp4", *(["arkit_csv"] if "arkit" in groups else []), *(["bvh"] if "body" in groups else []), "npz"]
    formats = list(written.formats) or usual
    comment = '# "mp4" is a film with the sound, the others are for other programs.\n' if "mp4" in formats else ""
    return f"{comment}OUTPUT_FORMATS = {_quoted(formats)}"


def _strengths() -> str:
    return """
# The defaults exaggerate; raise these when the face should be livelier than its recordings.
CONFIG = {
    "input_strength": 1.0,
    "lower_face_strength": 1.0,
    "skin_strength": 1.0,
    "lower_teeth_strength": 1.0,
    "tongue_strength": 1.0,
    "lip_open_offset": 0.0,
}
"""
