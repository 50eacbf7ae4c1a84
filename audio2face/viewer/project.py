"""A project as the viewer needs it: actors, shots with their sound, and the networks trained on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.shots import NEUTRAL, emotions_in
from audio2face.evaluation.data import trained_shots
from audio2face.evaluation.folder import files_in
from audio2face.face.curves import CurveGroup
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.sound import sound_info
from audio2face.inference.model import Model, load_model, load_run_model
from audio2face.inference.package import has_mesh
from audio2face.inference.talks import APART_S
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import check_name
from audio2face.runs.train_run import TrainRun, load_train_run
from audio2face.types import Track
from audio2face.viewer.actors import Actor, find_eyes
from audio2face.viewer.curve_groups import ShownGroups, captured_groups, captured_track
from audio2face.viewer.library import ShotView
from audio2face.viewer.sources import Extras, captured_files, dataset_actor, dataset_rigs, truth_track
from audio2face.viewer.studio import Studio
from audio2face.viewer.tracks import AnimationStream

logger = logging.getLogger(__name__)

DEFAULT_FPS = 30.0
# What edits with a run's network, with the bodies {actor: mesh} that it shows; None of networks that cannot.
BuildStudio = Callable[[TrainRun, Mapping[str, BodyMesh]], Studio | None]


@dataclass
class Project:
    """A config folder. What its data set lacks is collected in `notices`: a run can be looked at without it."""

    name: str
    actor_names: list[str]
    files: dict[str, DatasetFiles]
    rates: dict[str, float]  # of animation caches, by actor
    units_per_metre: float
    emotions: dict[tuple[str, str], str]  # of (actor, shot), where they are told
    emotion_names: list[str]
    clips: dict[tuple[str, str], tuple[str, int]]  # (actor, shot): sound file and frames of offset, of config_train
    train_root: Path
    deploy_root: Path
    preproc_root: Path
    configs: Callable[[TrainRun], Mapping[str, Mapping[str, Any]]]  # every actor's CONFIG
    studio: BuildStudio
    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the data set
    captured: dict[str, dict[str, CurveGroup]] = field(
        default_factory=dict
    )  # groups of actors without a mesh, once read
    bodies: dict[str, BodyMesh | None] = field(default_factory=dict)  # of actors, once read

    @classmethod
    def build(
        cls,
        name: str,
        dataset: Section | None,
        train: Section,
        configs: Callable[[TrainRun], Mapping[str, Mapping[str, Any]]],
        studio: BuildStudio = lambda run, bodies: None,
    ) -> Project:
        """From config_dataset, None without one, and config_train."""
        found: dict[str, DatasetFiles] = {}
        notices: list[str] = []
        problems: list[str] = []
        for actor in dataset.ACTOR_NAMES if dataset else ():
            assert dataset is not None
            try:
                found[actor] = DatasetFiles.from_config(dataset, actor)
            except UserError as error:
                problems += error.lines
                more = f" (and {len(error.lines) - 1} more)" if len(error.lines) > 1 else ""
                notices.append(f"no truth of actor {actor}: {error.lines[0]}{more}")
        return cls(
            name,
            actor_names=list(dataset.ACTOR_NAMES) if dataset else [],
            files=found,
            rates={actor: float(fps) for actor, fps in dataset.CACHE_FPS.items()} if dataset else {},
            units_per_metre=float(dataset.UNITS_PER_METRE) if dataset else 100.0,
            emotions={(a, shot): emotion for a, shot, emotion in dataset.SHOT_EMOTION_MAP} if dataset else {},
            emotion_names=list(dataset.SHOT_EMOTION_NAMES) if dataset else [],
            clips={(row[0], row[1]): (row[5], row[6]) for row in train.CLIPS},
            train_root=local_path(train.TRAIN_OUTPUT_ROOT),
            deploy_root=local_path(train.FINAL_DEPLOY_ROOT),
            preproc_root=local_path(train.PREPROC_ROOT),
            configs=configs,
            studio=studio,
            notices=notices,
            problems=problems,
        )

    def cache_fps(self, actor: str) -> float:
        """The rate of an actor's animation caches."""
        return self.rates.get(actor, DEFAULT_FPS)

    def actor(self, name: str, run: TrainRun | None = None) -> Actor:
        """What is known of an actor's meshes: by the data set, else by a training run. Of curves alone what they move."""
        shown = self.shown(name, run)
        if shown is not None:
            if shown.mesh is not None and shown.moved is not None and shown.bound is None:
                self.notices.append(
                    f"BODY_MESH_FPATH of {name}: hardly any bone is called as a joint, so bones are drawn"
                )
            return shown.actor(name)
        if name in self.files:
            return dataset_actor(self.files[name], self.units_per_metre)
        if run is None or name not in run.spec.actors:
            return Actor(name)
        data = run.actor(name)
        faces = {"skin": data.topology.skin, "tongue": data.topology.tongue}
        mean, delta = (data.network_data.get(key) for key in ("shapes_mean_skin", "eye_close_pose_delta"))
        known = {mesh: f for mesh, f in faces.items() if f is not None}
        return Actor(name, known, 1000 / data.topology.units_per_metre, find_eyes(mean, delta))

    def shown(self, name: str, run: TrainRun | None = None) -> ShownGroups | None:
        """As `groups`, with the mesh that moves with a skeleton: the data set's, else the run's. Raises UserError."""
        groups = self.groups(name, run)
        return None if groups is None else ShownGroups(groups, self.body(name, run))

    def body(self, name: str, run: TrainRun | None = None) -> BodyMesh | None:
        """The mesh of BODY_MESH_FPATH, as the data set names it now, else as a run kept it. Raises UserError."""
        if name not in self.bodies:
            files = self.files.get(name)
            mesh = files.body_mesh() if files is not None else None
            kept = run.actor(name).topology.body if run is not None and name in run.spec.actors else None
            self.bodies[name] = kept if mesh is None else mesh
        return self.bodies[name]

    def groups(self, name: str, run: TrainRun | None = None) -> dict[str, CurveGroup] | None:
        """The groups of curves of an actor without a mesh: those that a run gives, else those of the data set; None of others.

        Raises UserError when the data set cannot be read.
        """
        if run is not None and name in run.spec.actors:
            data = run.actor(name)
            resting = run.spec.at_rest(name)
            return (
                None
                if has_mesh(data.network_data)
                else {g: w for g, w in data.curves.groups.items() if g not in resting}
            )
        files = self.files.get(name)
        if files is None or not _curves_alone(files):
            return None
        if name not in self.captured:
            self.captured[name] = captured_groups(files.curves)
        return self.captured[name]

    def shots(self, actor: str) -> list[ShotView]:
        """All captured shots of an actor. Raises UserError when the data set cannot be read."""
        files = self.files.get(actor)
        return [self._view(files, shot) for shot in files.shots()] if files else []

    def shot(self, actor: str, name: str, folder: Path | None = None) -> ShotView | None:
        """A captured shot, of the data set or of a folder of new ones; None when it is not there."""
        files = self.files.get(actor)
        there = files_in(folder, files) if files and folder else files
        return self._view(there, name, clip=folder is None) if there and name in there.shots() else None

    def shot_of(self, actor: str, sound: Path) -> ShotView | None:
        """The captured shot that a sound file belongs to, None for any other sound."""
        files = self.files.get(actor)
        if files is None or files.audio_root is None or sound.parent.resolve() != files.audio_root.resolve():
            return None
        clips = [s for (a, s), (file, _) in self.clips.items() if a == actor and file == sound.name]
        return self.shot(actor, clips[0] if clips else sound.stem)

    def _view(self, files: DatasetFiles, shot: str, clip: bool = True) -> ShotView:
        file, offset = self.clips.get((files.actor, shot), ("", 0)) if clip else ("", 0)
        given = files.audio_root / file if file and files.audio_root else None
        sound = given if given and given.is_file() else files.audio_file(shot)
        told = next(iter(emotions_in(shot, self.emotion_names)), NEUTRAL)
        emotion = self.emotions.get((files.actor, shot)) or told
        fps = self.cache_fps(files.actor)
        opener = partial(truth_track, files, shot, fps, offset, dataset_rigs(files))
        if _curves_alone(files):
            opener = partial(self._captured, files, shot, fps, offset)
        there = [] if offset else captured_files(files, shot)  # the sound of an edit begins with its file
        source, beside = (there[0], tuple(there[1:])) if there else (None, ())
        partner = _partner(files, shot, sound, offset) if sound else None
        other = partial(self._other, files.actor, shot, sound, partner) if sound and partner else None
        found = ShotView(shot, files.actor, emotion, sound, truth=opener, source=source, beside=beside)
        return replace(found, channel=files.roles.own, partner=partner, other=other)

    def _other(self, actor: str, shot: str, sound: Path, partner: Track) -> ShotView | None:
        """The shot of whom an actor talks to: of another actor whose own voice is what is heard of the partner, else the only one
        of the same name that talks to somebody for as long."""
        alike: list[ShotView] = []
        info = sound_info(sound)
        if partner.path == sound and info.num_channels == 1:  # a monologue
            return None
        for name, files in self.files.items():
            names = {
                shot,
                partner.path.stem,
                *(s for (a, s), clip in self.clips.items() if (a, clip[0]) == (name, partner.path.name)),
            }
            for view in (self._view(files, other) for other in files.shots() if name != actor and other in names):
                if view.sound is None:
                    continue
                if view.sound.resolve() == partner.path.resolve() and partner.channel in (None, view.channel):
                    return view
                apart = abs(sound_info(view.sound).duration_s - info.duration_s)
                alike += [view] if view.name == shot and view.partner is not None and apart <= APART_S else []
        return alike[0] if len(alike) == 1 else None

    def _captured(self, files: DatasetFiles, shot: str, fps: float, offset: int) -> AnimationStream:
        """A captured shot of groups of curves: all that the data set has, trained or not."""
        return captured_track(files.curves, self.shown(files.actor) or ShownGroups({}), shot, fps, offset)

    # ---- training runs

    def training_run(self, name: object) -> TrainRun | None:
        """A training run of the project, None (and a notice) when it is gone, or `name` is no name."""
        try:
            return load_train_run(self.train_root / check_name(str(name), "training run name"))
        except UserError as error:
            self.notices.append(f"no live model: {error.lines[0]}")
            return None

    def trained_shots(self, run: TrainRun) -> set[tuple[str, str]] | None:
        """The (actor, shot) that a run was trained on; None when that is unknown."""
        try:
            return trained_shots(self.name, self.preproc_root, run)
        except (UserError, ValueError, OSError, KeyError) as error:
            logger.info("cannot determine which shots were trained on: %s", error)
            return None

    def actor_of(self, text: str, run: TrainRun | None) -> str:
        """The actor whose name an output file carries."""
        names = [*(run.spec.actors if run else []), *self.actor_names]
        return max((n for n in names if f"_{n}_" in f"_{text}_"), key=len, default=names[0] if names else "")

    def extras(self, actor: str, run: TrainRun | None) -> Extras:
        """Jaw at rest and blendshapes of an actor, of the training run."""
        if run is None or actor not in run.spec.actors:
            return Extras()
        data = run.actor(actor)
        return Extras(data.network_data.get("neutral_jaw"), data.blendshapes)

    def model_loader(self, run: TrainRun) -> Callable[[], Model]:
        """Loads the deployed model of a run, or the run itself where it was never deployed."""
        deployed = self.deploy_root / run.name
        return lambda: load_model(deployed) if deployed.is_dir() else load_run_model(run, self.configs(run))


def _partner(files: DatasetFiles, shot: str, sound: Path, offset: int) -> Track | None:
    """The partner's voice in a shot, None where there is none, or it does not start with the sound. That the shot's own file holds
    two voices is found out when it is heard."""
    found = files.roles.partner_of(
        shot, sound, offset, lambda path: 2 if path == sound else sound_info(path).num_channels
    )
    return found.track if found is not None and found.offset == offset else None


def _curves_alone(files: DatasetFiles) -> bool:
    return bool(files.curves) and files.skin_cache_root is None
