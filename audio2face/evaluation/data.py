"""Data of an evaluation: shots that no compared run was trained on, their truth, and training data for baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.waveform import load_track
from audio2face.config import Section, load_config
from audio2face.dataset.clips import build_clips, joined
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.sound_roles import with_roles
from audio2face.dataset.split import example_shot, source_shots, split_rows
from audio2face.dataset.targets import sample_linear
from audio2face.evaluation.baselines import MEAN_POSE, NEAREST, energy_features, mean_pose, nearest_frames
from audio2face.evaluation.curve_data import GroupSource
from audio2face.evaluation.folder import NewShots, read_new_shots
from audio2face.evaluation.score import FRECHET_DIMENSIONS, Face, upper_vertices
from audio2face.face.codec import part_of
from audio2face.formats import find_animation, read_animation
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.json_file import read_json
from audio2face.formats.sound import sound_info
from audio2face.geometry.pca import reconstruct
from audio2face.geometry.regions import lip_vertices
from audio2face.listing import natural_order
from audio2face.paths import external_path, local_path
from audio2face.problems import Problems, UserError
from audio2face.runs.preproc_run import PreprocRun, load_preproc_run
from audio2face.runs.run_dir import resolve_run
from audio2face.runs.train_run import TrainRun
from audio2face.types import Clip, Shot, Waveform

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActorSource:
    """One actor's data: the preprocessing run that the training used, and the captured files of what is measured: the skin
    or not, and which groups of curves."""

    run: PreprocRun
    files: DatasetFiles
    units_per_metre: float
    training: list[Clip] = field(default_factory=list)
    triangles: np.ndarray | None = None  # (F, 3) of the skin
    regions: dict[str, np.ndarray] = field(default_factory=dict)  # "lips", "upper_face": vertices given by the user
    has_skin: bool = True
    groups: dict[str, GroupSource] = field(default_factory=dict)
    body: BodyMesh | None = None

    @cached_property
    def training_coeffs(self) -> np.ndarray:
        """Skin coefficients (n, K) of all frames that were trained on."""
        return np.concatenate([self.run.skin_coeffs(c.shot.name)[c.first : c.last + 1] for c in self.training])

    @cached_property
    def training_energies(self) -> list[np.ndarray]:
        """Loudness (n, F) at the frames of each clip that was trained on."""
        rows = []
        for clip in self.training:
            sound, end = sound_of(clip), clip.last + 1 + clip.audio_offset
            features = energy_features(sound.samples, sound.sample_rate, clip.shot.fps, end)
            rows.append(features[clip.first + clip.audio_offset : end])
        return rows

    @cached_property
    def face(self) -> Face:
        """The face data that metrics need; logs which metrics will be missing."""
        files, skin = self.files, self.run.skin
        neutral = files.skin_neutral()
        neutral = skin.mean if neutral is None else neutral
        lips, lids = files.lip_dist_pairs(), files.eye_dist_pairs()
        face = Face(
            neutral=neutral,
            mm=1000 / self.units_per_metre,
            lips=self.regions.get("lips", lip_vertices(lips, files.lip_size_pairs())),
            lip_pairs=lips,
            upper=self.regions.get("upper_face", upper_vertices(neutral, lids)),
            axes=skin.components[:FRECHET_DIMENSIONS],
        )
        for there, key, what in (
            (lips, "SKIN_LIP_DIST_VERTEX_LIST_FPATH", "mouth opening"),
            (face.lips, "SKIN_LIP_SIZE_VERTEX_LIST_FPATH", "lip vertex"),
            (face.upper, "SKIN_EYE_DIST_VERTEX_LIST_FPATH", "upper face"),
        ):
            if there is None:
                logger.warning("actor %s: no %s metrics without %s", self.run.actor, what, key)
        opening = face.opening(reconstruct(self.run.skin, mean_pose(self.training_coeffs, 1)))
        return face if opening is None else Face(**{**vars(face), "rest_opening": float(opening[0])})

    def baselines(self, clip: Clip, fps: float, count: int, part: slice) -> dict[str, np.ndarray]:
        """The skin in frames `part` of the `count` at `fps` that cover the clip's sound, as each baseline shows it."""
        coeffs, energies = self.training_coeffs, np.concatenate(self.training_energies)
        nearest = coeffs[nearest_frames(loudness_at(clip, fps, count, part), energies)]
        still = mean_pose(coeffs, part.stop - part.start)
        return {MEAN_POSE: reconstruct(self.run.skin, still), NEAREST: reconstruct(self.run.skin, nearest)}


def loudness_at(clip: Clip, fps: float, count: int, part: slice) -> np.ndarray:
    """Loudness (n, F) of frames `part` of the `count` at `fps` that cover the clip's sound."""
    sound = sound_of(clip)
    return energy_features(sound.samples, sound.sample_rate, fps, count)[part]


def frames_inside(clip: Clip, fps: float, count: int) -> tuple[slice, np.ndarray]:
    """Which of the `count` frames at `fps` of the clip's sound lie in the clip, and their moments (n,) in its shot, in seconds.

    Frame j of an animation stands for the time (j + 0.5) / fps of its sound, on both sides.
    """
    shot = clip.shot
    times = (np.arange(count) + 0.5) / fps - clip.audio_offset / shot.fps
    inside = np.flatnonzero((times >= clip.first / shot.fps) & (times < (clip.last + 1) / shot.fps))
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    return part, times[part]


def truth_at(clip: Clip, files: DatasetFiles, fps: float, count: int) -> tuple[slice, np.ndarray]:
    """`frames_inside` of the clip, and the true skin (n, V, 3) at them, interpolated where the rates differ."""
    assert files.skin_cache_root is not None
    shot = clip.shot
    animation = read_animation(find_animation(files.skin_cache_root, shot.name), files.skin_cache_channel)
    part, times = frames_inside(clip, fps, count)
    if fps == shot.fps:
        first = part.start - clip.audio_offset
        return part, animation.block(first, first + part.stop - part.start)
    frames = animation.block()
    values = sample_linear(frames.reshape(len(frames), -1), shot.fps, times)
    return part, values.reshape(-1, *frames.shape[1:])


@dataclass(frozen=True)
class Wanted:
    """The shots requested on the command line: by name or pattern, or a folder of new ones instead of the data set's.

    `regions` {"lips" or "upper_face": JSON file} replaces the vertices that the data set's lists stand for.
    """

    shots: tuple[str, ...] = ()
    folder: Path | None = None
    regions: Mapping[str, str | Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The clips to measure on, every actor's data, and which (actor, shot) of them a run was trained on."""

    clips: list[Clip]
    sources: dict[str, ActorSource]
    trained: list[tuple[str, str]]


def build_measured(
    config_name: str, train: Section, dataset: Section, runs: Sequence[TrainRun], wanted: Wanted
) -> Measured:
    """The clips to measure on. Raises UserError when there is none or something is missing.

    They are the shots requested by name; else those of the requested folder; else VALIDATION_CLIPS of config_train;
    else every shot of the preprocessing run. Unless they are named, shots that any of the runs was trained on,
    according to the runs' own configs, are left out.
    """
    actors = [a for a in runs[0].spec.actors if all(a in run.spec.actors for run in runs)]
    if not actors:
        raise UserError("the training runs to compare have no actor in common")
    preproc_root = local_path(train.PREPROC_ROOT)
    preproc = {actor: _preproc_run(config_name, preproc_root, runs[0], actor) for actor in actors}
    files = {actor: DatasetFiles.from_config(dataset, actor) for actor in actors}
    groups = {actor: _measured_groups(runs, preproc[actor]) for actor in actors}
    if nothing := [a for a in actors if not groups[a] and not _has_skin(runs, files[a])]:
        raise UserError(
            f"run_evaluate.py measures the skin and curves, and {', '.join(nothing)} has neither, or the runs do not have them "
            "in common: SKIN_CACHE_ROOT, CURVES_ROOT and TARGET_CHANNELS"
        )
    shots = {actor: {shot.name: shot for shot in run.shots} for actor, run in preproc.items()}
    template = [row for run in preproc.values() for row in run.clips]
    every = [shot for by_name in shots.values() for shot in by_name.values()]
    trained = {run.name: _trained_rows(run, template, every) for run in runs}
    seen = {_key(row) for found in trained.values() for row in found} | {k for run in runs for k in _muted_sources(run)}
    new = read_new_shots(wanted.folder, dataset, files, preproc) if wanted.folder else {}
    if new:
        seen = {(actor, shot) for actor, shot in seen if actor in new and _same_place(new[actor].files, files[actor])}
    there = {actor: n.shots for actor, n in new.items()} or shots
    offered = [row for n in new.values() for row in n.rows] or template
    if wanted.shots:
        rows = _named_rows(wanted.shots, [] if new else train.CLIPS, offered, there)
    else:
        kept: list[Any] = []
        if train.VALIDATION_CLIPS and not new:
            kind = train.NETWORK_TYPE
            inference = load_config(config_name, (), optional=("inference",), network_type=kind)["inference"]
            needed = source_shots(inference.CONFIG, actors)
            muted = train.AUG_MUTED_SHOTS
            kept = split_rows(train.VALIDATION_CLIPS, train.CLIPS, template, every, muted, needed)[1]
        rows = _untrained(kept, seen) or [row for row in offered if _key(row) not in seen]
    if not rows:
        example = example_shot(template, train.AUG_MUTED_SHOTS)
        raise UserError(
            f"no shot is left to evaluate on: training used all {len(offered)} clips. Measure on new recordings with "
            f"--data FOLDER, or on shots that were trained on with --shots {example}; or name shots to keep out of "
            f"training in config_train.py of {config_name}, as VALIDATION_CLIPS = [{example!r}], and train again"
        )
    again = sorted({_key(row) for row in rows if _key(row) in seen})
    if again:
        names = ", ".join(shot for _, shot in again)
        logger.warning("trained on, so the numbers only show what was memorised: %s", names)
    measured = {actor: new[actor].files if actor in new else files[actor] for actor in actors}
    clips = joined(_clips(rows, there, measured, "clip to measure on"))
    trained_rows = [row for row in trained[runs[0].name] if row[0] in shots and row[1] in shots[row[0]]]
    training = _clips(trained_rows, shots, files, "training clip")
    units = float(dataset.UNITS_PER_METRE)
    given = {
        name: _read_vertices(path, min(len(p.skin.mean) for p in preproc.values()))
        for name, path in wanted.regions.items()
    }
    sources = {}
    for actor in actors:
        taught, faces = [c for c in training if c.shot.actor == actor], runs[0].actor(actor).topology
        source = ActorSource(preproc[actor], measured[actor], units, taught, faces.skin, given, body=faces.body)
        sources[actor] = _with_groups(runs, preproc[actor], measured[actor], new.get(actor), source)
    return Measured(clips, sources, again)


def _named_rows(
    names: Sequence[str], clips: Sequence[Any], offered: Sequence[Any], shots: Mapping[str, Mapping[str, Shot]]
) -> list[Any]:
    """The clips of shots by name or pattern. Raises UserError for a pattern that matches none."""
    known = [shot for by_name in shots.values() for shot in by_name.values()]
    rows = split_rows(list(names), clips, offered, known, (), key="--shots")[1]
    if not rows:
        raise UserError(f"--shots {' '.join(names)}: no sound belongs to these shots")
    return rows


def _untrained(kept: Sequence[Any], seen: set[tuple[str, str]]) -> list[Any]:
    """Of the clips of VALIDATION_CLIPS those that were not trained on."""
    if overlap := natural_order({row[1] for row in kept if _key(row) in seen}):
        logger.warning("VALIDATION_CLIPS: not measured on, since they were trained on: %s", ", ".join(overlap))
    return [row for row in kept if _key(row) not in seen]


def _same_place(one: DatasetFiles, other: DatasetFiles) -> bool:
    """Whether the motion of both lies in the same folders."""
    if one.skin_cache_root is not None and other.skin_cache_root is not None:
        return one.skin_cache_root.resolve() == other.skin_cache_root.resolve()
    return any(
        s.folder.resolve() == other.curves[g].folder.resolve() for g, s in one.curves.items() if g in other.curves
    )


def _has_skin(runs: Sequence[TrainRun], files: DatasetFiles) -> bool:
    """Whether the skin was captured, and every run moves it."""
    resting = {part_of(name) for run in runs for name in run.spec.at_rest(files.actor)}
    return files.skin_cache_root is not None and "skin" not in resting


def _measured_groups(runs: Sequence[TrainRun], preproc: PreprocRun) -> list[str]:
    """The groups of curves that any of the runs gives for an actor who has them."""
    given = {name for run in runs for name in run.spec.groups if name not in run.spec.at_rest(preproc.actor)}
    return [name for name in preproc.curves.groups if name in given]


def _with_groups(
    runs: Sequence[TrainRun], preproc: PreprocRun, files: DatasetFiles, new: NewShots | None, source: ActorSource
) -> ActorSource:
    """An actor's source with what is measured: the skin and the groups that the shots have."""
    names = [g for g in _measured_groups(runs, preproc) if new is None or g in new.curves]
    groups = {
        name: GroupSource(preproc, preproc.curves[name], source.training, new.curves[name] if new else None)
        for name in names
    }
    lacking = [name for name, group in groups.items() if not len(group.rows[0])]
    for name in lacking:
        logger.warning("actor %s: group %s is not measured: no shot that was trained on has it", preproc.actor, name)
    kept = {name: group for name, group in groups.items() if name not in lacking}
    return replace(source, has_skin=_has_skin(runs, files), groups=kept)


def _read_vertices(path: str | Path, num_vertices: int) -> np.ndarray:
    """Vertex numbers (n,) of a JSON list. Raises UserError when it is not one, or names vertices that do not exist."""
    try:
        values = read_json(local_path(path))
    except (OSError, ValueError) as error:
        raise UserError(f"expected a JSON list of vertices, as [12, 40, 41]: {error}") from error
    if not isinstance(values, list) or not values or any(type(v) is not int or v < 0 for v in values):
        raise UserError(f"{external_path(path)}: expected a list of vertices (whole numbers >= 0)")
    if max(values) >= num_vertices:
        raise UserError(f"{external_path(path)}: names vertex {max(values)}, the mesh has {num_vertices}")
    return np.unique(values)


def _key(row: Any) -> tuple[str, str]:
    return row[0], row[1]


def _trained_rows(run: TrainRun, template: list[Any], shots: list[Shot]) -> list[Any]:
    values = run.config("train") or {}
    choice, muted = values.get("VALIDATION_CLIPS"), values.get("AUG_MUTED_SHOTS", [])
    needed = source_shots((run.config("inference") or {}).get("CONFIG", {}), run.spec.actors)
    return split_rows(choice, values.get("CLIPS") or [], template, shots, muted, needed)[0]


def trained_shots(config_name: str, preproc_root: Path, run: TrainRun) -> set[tuple[str, str]]:
    """The (actor, shot) that a run was trained on, by its own configs. Raises UserError without its preprocessing."""
    preproc = [_preproc_run(config_name, preproc_root, run, actor) for actor in run.spec.actors]
    template = [row for found in preproc for row in found.clips]
    rows = _trained_rows(run, template, [shot for found in preproc for shot in found.shots])
    return {_key(row) for row in rows} | set(_muted_sources(run))


def _muted_sources(run: TrainRun) -> list[tuple[str, str]]:
    """Shots of which a still pose was used in training."""
    return [(row[0], row[1][0]) for row in (run.config("train") or {}).get("AUG_MUTED_SHOTS", [])]


def _clips(rows: list[Any], shots: dict[str, dict[str, Shot]], files: dict[str, DatasetFiles], what: str) -> list[Clip]:
    header, roots = lru_cache(maxsize=None)(sound_info), {a: f.audio_root for a, f in files.items()}
    problems = Problems()
    clips = build_clips(problems, rows, shots, roots, lambda path: header(path).duration_s, what)
    roles = {a: f.roles for a, f in files.items()}
    clips = with_roles(problems, clips, roles, lambda path: header(path).num_channels)
    problems.raise_errors()
    for warning in problems.warnings:
        logger.warning("%s", warning)
    return clips


def _preproc_run(config_name: str, root: Path, run: TrainRun, actor: str) -> PreprocRun:
    info = run.path / "configs" / "preproc_info.json"
    if not info.is_file():
        raise UserError(f"training run {run.name} does not record which preprocessing run it used; train again")
    name = read_json(info)["preproc_run_name_full"][actor]
    hint = f"; make one with: python run_preproc.py {config_name} {actor}, and train again"
    return load_preproc_run(resolve_run(root, name, what="preprocessing", hint=hint))


def sound_of(clip: Clip) -> Waveform:
    """The clip's whole sound file."""
    assert clip.track is not None
    return load_track(clip.track, "w2v")
