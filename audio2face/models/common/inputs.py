"""What every method starts from: a config's preprocessing runs, data set files and clips, checked together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from audio2face.config import Section
from audio2face.dataset.clips import ClipRow, build_clips, build_muted_clips
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.faces import build_faces
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.sound_roles import check_offsets, report_partners, with_roles
from audio2face.dataset.split import NOTHING_HELD_OUT, example_shot, source_shots, split_rows
from audio2face.face.emotions import emotion_vector, network_emotions
from audio2face.formats.sound import sound_info
from audio2face.paths import local_path
from audio2face.problems import Problems, UserError, raise_problems
from audio2face.runs.changes import changed_keys
from audio2face.runs.manifest import check_file
from audio2face.runs.preproc_run import PreprocRun, load_preproc_run
from audio2face.runs.run_dir import LATEST, resolve_run
from audio2face.runs.train_run import NetworkSpec, TrainRun
from audio2face.training.loop import Method
from audio2face.training.settings import FitSettings
from audio2face.training.validation import Validation
from audio2face.types import Clip, Shot

if TYPE_CHECKING:
    from audio2face.training.previews import CurvesPreview, Preview

logger = logging.getLogger(__name__)

OVERRIDES = {  # PreprocRun part -> the key that names another file for it
    "skin_coeffs": "SKIN_PCA_COEFFS_FPATH",
    "skin_shapes": "SKIN_PCA_SHAPES_FPATH",
    "tongue_coeffs": "TONGUE_PCA_COEFFS_FPATH",
    "tongue_shapes": "TONGUE_PCA_SHAPES_FPATH",
    "data_info": "DATA_INFO_FPATH",
    "shots": "SHOT_LIST_FPATH",
    "mean_geometry": "MEAN_GEOMETRY_FPATH",
}


@dataclass(frozen=True)
class Inputs:
    """The data that a training starts from. Actors are in ACTOR_NAMES order."""

    train: Section
    dataset: Section
    inference: Section | None
    actors: list[str]
    runs: dict[str, PreprocRun]
    files: dict[str, DatasetFiles]
    clips: list[Clip]  # sounding clips, then muted ones
    emotion_names: list[str]  # that own a column, in network order
    validation: list[Clip] = field(default_factory=list)  # of shots that are not among the clips


@dataclass(frozen=True)
class Training:
    """A method ready to fit, its network and what that is, how to export it once its weights are saved, how to measure it."""

    method: Method
    network: nn.Module
    spec: NetworkSpec
    settings: FitSettings
    export: Callable[[TrainRun], dict[str, Path]] | None = None  # None: it cannot be exported
    validate: Validation | None = None  # measures the network on VALIDATION_CLIPS, if there are any
    preview: Preview | CurvesPreview | None = None
    advice: Sequence[str] = ()  # what would make the training shorter, if it takes hours
    finish: Callable[[], None] | None = None  # measures with the trained weights what is saved with them


def build_inputs(
    config_name: str,
    train: Section,
    dataset: Section,
    inference: Section | None = None,
    runs_named: Mapping[str, str] | None = None,
    preproc: Section | None = None,
) -> Inputs:
    """Find the preprocessing runs and read the clips. Raises UserError listing everything that is wrong.

    `runs_named` {actor: full name of its run} goes before PREPROC_RUN_NAME_FULL. `latest` means runs of `preproc`'s
    RUN_NAME, or of any when the project has no such file.
    """
    run_name = preproc.RUN_NAME if preproc is not None and preproc.file is not None else None
    named = runs_named or train.PREPROC_RUN_NAME_FULL
    actors = list(dataset.ACTOR_NAMES) or list(named)
    problems = Problems()
    runs: dict[str, PreprocRun] = {}
    files: dict[str, DatasetFiles] = {}

    def read(actor: str) -> None:
        runs[actor] = _build_preproc_run(config_name, train, actor, named.get(actor, LATEST), run_name)
        if not runs_named:
            _warn_of_changes(config_name, runs[actor], dataset, preproc)
        files[actor] = DatasetFiles.from_config(dataset, actor)
        runs[actor] = _build_faces(runs[actor], dataset)

    for actor in actors:
        problems.attempt(read, actor)
    problems.raise_errors()
    if not actors:
        raise UserError(f"configs/{config_name}/config_dataset.py: ACTOR_NAMES is empty: name the actor(s) to train")
    shots = {actor: {shot.name: shot for shot in run.shots} for actor, run in runs.items()}
    needed = source_shots(inference.CONFIG, actors) if inference and "CONFIG" in inference else []
    clips, validation = _build_clips(train, runs, files, shots, needed)
    raise_problems(_unknown_emotions(clips + validation, list(dataset.SHOT_EMOTION_NAMES)))
    seconds = sum(c.num_frames / c.shot.fps for c in clips)
    logger.info("%d clips, %.1f minutes, actors %s", len(clips), seconds / 60, ", ".join(actors))
    if validation:
        logger.info("never trained on: %s", ", ".join(dict.fromkeys(clip.shot.name for clip in validation)))
    emotions = network_emotions(dataset.SHOT_EMOTION_NAMES, train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS)
    return Inputs(train, dataset, inference, actors, runs, files, clips, emotions, validation)


def _build_preproc_run(config_name: str, train: Section, actor: str, name: str, run_name: str | None) -> PreprocRun:
    if set(name) <= set("X_") or name.startswith("XXXXXX_XXXXXX"):  # the placeholder of the example projects
        name = LATEST
    hint = f"; make one with: python run_preproc.py {config_name} {actor}"
    folder = resolve_run(
        local_path(train.PREPROC_ROOT),
        name,
        what="preprocessing",
        run_name=run_name,
        match=lambda path: _may_be_of(path, actor),
        hint=hint,
    )
    overrides = {part: train.values.get(key, {}).get(actor) for part, key in OVERRIDES.items()}
    run = load_preproc_run(folder, {part: local_path(path) for part, path in overrides.items() if path})
    if run.actor != actor:
        raise UserError(
            f"preprocessing run {folder.name} is of actor {run.actor!r}, not {actor!r}: see PREPROC_RUN_NAME_FULL"
        )
    logger.info("actor %s: preprocessing run %s, %d shots", actor, folder.name, len(run.shots))
    return run


def _build_faces(run: PreprocRun, dataset: Section) -> PreprocRun:
    """The run with the faces of its meshes that config_dataset names now. Raises UserError when they are of others."""
    num_skin, num_tongue = (int(run.data_info[f"num_verts_{mesh}"]) for mesh in ("skin", "tongue"))
    own = run.topology
    return replace(
        run, faces=build_faces(dataset, run.actor, own, num_skin, num_tongue if run.has_tongue else None, run.name)
    )


def _warn_of_changes(config_name: str, run: PreprocRun, dataset: Section, preproc: Section | None) -> None:
    changed = changed_keys(run.path, run.actor, dataset, preproc)
    if changed:
        logger.warning(
            "actor %s: preprocessing run %s was made with other values of %s; for the current ones: python run_preproc.py %s %s",
            *(run.actor, run.name, ", ".join(changed), config_name, run.actor),
        )


def _may_be_of(folder: Path, actor: str) -> bool:
    """Whether a run is of an actor; also one that no longer tells, so that it is named and not passed over."""
    from audio2face.formats.json_file import read_json

    path = folder / "configs" / "actor_info.json"
    try:
        check_file(path)
        return bool(read_json(path)["actor_name"] == actor)
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return True


def _build_clips(
    train: Section,
    runs: dict[str, PreprocRun],
    files: dict[str, DatasetFiles],
    shots: dict[str, dict[str, Shot]],
    needed: list[tuple[str, str]],
) -> tuple[list[Clip], list[Clip]]:
    """The clips to train on, muted ones last, and the clips to measure on."""
    template = [row for run in runs.values() for row in run.clips]
    every = [shot for by_name in shots.values() for shot in by_name.values()]
    rows, held = split_rows(train.VALIDATION_CLIPS, train.CLIPS, template, every, train.AUG_MUTED_SHOTS, needed)
    if not rows and held:
        raise UserError("VALIDATION_CLIPS: it holds out every shot of CLIPS; nothing is left to train on")
    if rows and not held and train.VALIDATION_CLIPS:
        shot = example_shot(rows, train.AUG_MUTED_SHOTS, needed)
        logger.warning(
            "VALIDATION_CLIPS = %s: too few shots to hold any out (those of AUG_MUTED_SHOTS stay in training), so nothing is "
            "measured; name them explicitly, for example VALIDATION_CLIPS = [%r]",
            train.VALIDATION_CLIPS,
            shot,
        )
    if rows and not train.VALIDATION_CLIPS:
        logger.info("%s", NOTHING_HELD_OUT)
    if not train.CLIPS:
        logger.info("CLIPS is empty: training on %d clips of the preprocessing run(s)", len(rows))
    header = lru_cache(maxsize=None)(sound_info)
    roots, roles = {a: f.audio_root for a, f in files.items()}, {a: f.roles for a, f in files.items()}
    problems = Problems()

    def spoken(rows: list[ClipRow], key: str) -> list[Clip]:
        found = build_clips(problems, rows, shots, roots, lambda path: header(path).duration_s, key)
        return with_roles(problems, found, roles, lambda path: header(path).num_channels)

    clips, validation = spoken(rows, "CLIPS"), spoken(held, "VALIDATION_CLIPS")
    check_offsets(problems, roles, shots)
    muted = build_muted_clips(problems, train.AUG_MUTED_SHOTS, shots)
    problems.raise_errors()
    for warning in problems.warnings:
        logger.warning("%s", warning)
    if not clips:
        raise UserError("CLIPS: no clip to train on")
    report_partners(clips)
    unheard = set(runs) - {clip.shot.actor for clip in clips}
    raise_problems(
        [
            f"CLIPS: actor {actor!r} has no clip to train on: add one (or keep fewer shots in VALIDATION_CLIPS), or take the "
            "actor out of ACTOR_NAMES"
            for actor in sorted(unheard)
        ]
    )
    kept_out = {(clip.shot.actor, clip.shot.name) for clip in validation}
    taught = [m for m in muted if m.held and (m.shot.actor, m.held[0]) not in kept_out]
    if len(taught) < len(muted):
        logger.warning("AUG_MUTED_SHOTS: skipped %d that use held-out shots", len(muted) - len(taught))
    return clips + taught, validation


def _unknown_emotions(clips: list[Clip], known: list[str]) -> list[str]:
    unknown = sorted({(c.shot.actor, c.shot.name, c.shot.emotion) for c in clips if c.shot.emotion not in known})
    return [
        f"shot {shot} of {actor}: emotion {emotion!r} is not in SHOT_EMOTION_NAMES ({', '.join(known)})"
        for actor, shot, emotion in unknown
    ]


def build_spec(
    inputs: Inputs, channels: Sequence[str], channel_sizes: dict[str, dict[str, int]], rescale: bool, **extra: Any
) -> NetworkSpec:
    """What the trained network is; `extra` is what its family needs to rebuild it."""
    train = inputs.train
    return NetworkSpec(
        network_type=train.NETWORK_TYPE,
        network_name=train.NETWORK_NAME,
        network_version=train.NETWORK_VERSION,
        hyper_params=dict(train.NETWORK_HYPER_PARAMS),
        actors=inputs.actors,
        emotion_names=inputs.emotion_names,
        zero_emotion=train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS,
        default_emotion=train.DEFAULT_SHOT_EMOTION_NAME,
        channels=list(channels),
        channel_sizes=channel_sizes,
        fps=float(train.TARGET_FPS),
        audio_params=dict(train.AUDIO_PARAMS),
        audio_method=train.AUDIO_PREPROC_METHOD,
        rescale=rescale,
        extra={**_build_channels(inputs), **extra},
    )


def _build_channels(inputs: Inputs) -> dict[str, Any]:
    """AUDIO_CHANNELS of the actors that have an entry, for sounds that are animated later; nothing when none has."""
    found = {actor: dict(own) for actor in inputs.actors if (own := inputs.dataset.AUDIO_CHANNELS.get(actor))}
    return {"channels": found} if found else {}


def build_conditions(inputs: Inputs, table_start: Callable[[Clip], int] = lambda clip: 0) -> list[ClipConditions]:
    """Emotion and actor of every clip, and where the rows of its shot begin in a table of all shots' frames."""
    emotions, zero_emotion = list(inputs.dataset.SHOT_EMOTION_NAMES), inputs.train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS
    found = []
    for clip in inputs.clips:
        vector = emotion_vector(clip.shot.emotion, inputs.emotion_names, zero=zero_emotion)
        actor, emotion = inputs.actors.index(clip.shot.actor), emotions.index(clip.shot.emotion)
        found.append(ClipConditions(vector, actor, emotion, table_start(clip)))
    return found
