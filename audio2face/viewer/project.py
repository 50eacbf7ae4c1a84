"""A project as the viewer needs it: actors, shots with their sound, and the networks trained on them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audio2face.commands.find_run import post_configs, train_section
from audio2face.config import Section, load_config
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.shots import NEUTRAL, emotions_in
from audio2face.deploy.package import write_model
from audio2face.evaluation.data import trained_shots
from audio2face.evaluation.folder import files_in
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun, load_train_run
from audio2face.viewer.library import Actor, ShotView, find_eyes
from audio2face.viewer.sources import Extras, dataset_actor, dataset_rigs, truth_track

logger = logging.getLogger(__name__)


@dataclass
class Project:
    """A config folder. What its data set lacks is collected in `notices`: a run can be looked at without it."""

    name: str
    dataset: Section | None
    train: Section
    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the data set

    @classmethod
    def build(cls, config_name: str) -> Project:
        """Raises UserError when there is no such project, or its configs are wrong."""
        sections = load_config(config_name, (), optional=("dataset",))
        dataset = sections["dataset"]
        return cls(config_name, dataset if dataset.file else None, train_section(config_name, ""))

    @property
    def actor_names(self) -> list[str]:
        """ACTOR_NAMES of config_dataset, none without it."""
        return list(self.dataset.ACTOR_NAMES) if self.dataset else []

    @cached_property
    def _files(self) -> dict[str, DatasetFiles]:
        found = {}
        for actor in self.actor_names:
            try:
                found[actor] = DatasetFiles.from_config(self.dataset, actor)  # type: ignore[arg-type]
            except UserError as error:
                self.problems += error.lines
                more = f" (and {len(error.lines) - 1} more)" if len(error.lines) > 1 else ""
                self.notices.append(f"no truth of actor {actor}: {error.lines[0]}{more}")
        return found

    @cached_property
    def _clips(self) -> dict[tuple[str, str], tuple[str, int]]:
        """{(actor, shot): (sound file, frames of offset)} of the clips in config_train."""
        return {(row[0], row[1]): (row[5], row[6]) for row in self.train.CLIPS}

    def cache_fps(self, actor: str) -> float:
        """The rate of an actor's animation caches."""
        return float(self.dataset.CACHE_FPS.get(actor, 30.0)) if self.dataset else 30.0

    def actor(self, name: str, run: TrainRun | None = None) -> Actor:
        """What is known of an actor's meshes: by the data set, else by a training run."""
        if name in self._files and self.dataset is not None:
            return dataset_actor(self._files[name], float(self.dataset.UNITS_PER_METRE))
        if run is None or name not in run.spec.actors:
            return Actor(name)
        data = run.actor(name)
        faces = {"skin": data.topology.skin, "tongue": data.topology.tongue}
        mean, delta = (data.network_data.get(key) for key in ("shapes_mean_skin", "eye_close_pose_delta"))
        known = {mesh: f for mesh, f in faces.items() if f is not None}
        return Actor(name, known, 1000 / data.topology.units_per_metre, find_eyes(mean, delta))

    def shots(self, actor: str) -> list[ShotView]:
        """All captured shots of an actor. Raises UserError when the data set cannot be read."""
        files = self._files.get(actor)
        return [self._view(files, shot) for shot in files.shots()] if files else []

    def shot(self, actor: str, name: str, folder: Path | None = None) -> ShotView | None:
        """A captured shot, of the data set or of a folder of new ones; None when it is not there."""
        files = self._files.get(actor)
        there = files_in(folder, files) if files and folder else files
        return self._view(there, name, clip=folder is None) if there and name in there.shots() else None

    def shot_of(self, actor: str, sound: Path) -> ShotView | None:
        """The captured shot that a sound file belongs to, None for any other sound."""
        files = self._files.get(actor)
        if files is None or files.audio_root is None or sound.parent.resolve() != files.audio_root.resolve():
            return None
        clips = [s for (a, s), (file, _) in self._clips.items() if a == actor and file == sound.name]
        return self.shot(actor, clips[0] if clips else sound.stem)

    def _view(self, files: DatasetFiles, shot: str, clip: bool = True) -> ShotView:
        assert self.dataset is not None
        file, offset = self._clips.get((files.actor, shot), ("", 0)) if clip else ("", 0)
        given = files.audio_root / file if file and files.audio_root else None
        sound = given if given and given.is_file() else files.audio_file(shot)
        mapped = {s: emotion for a, s, emotion in self.dataset.SHOT_EMOTION_MAP if a == files.actor}
        emotion = mapped.get(shot) or next(iter(emotions_in(shot, self.dataset.SHOT_EMOTION_NAMES)), NEUTRAL)
        opener = partial(truth_track, files, shot, self.cache_fps(files.actor), offset, dataset_rigs(files))
        return ShotView(shot, files.actor, emotion, sound, truth=opener)

    # ---- training runs

    def training_run(self, name: str) -> TrainRun | None:
        """A training run of the project, None (and a notice) when it is gone."""
        try:
            return load_train_run(local_path(self.train.TRAIN_OUTPUT_ROOT) / name)
        except UserError as error:
            self.notices.append(f"no live model: {error.lines[0]}")
            return None

    def trained_shots(self, run: TrainRun) -> set[tuple[str, str]] | None:
        """The (actor, shot) that a run was trained on; None when that is unknown."""
        try:
            return trained_shots(self.name, self.train, run)
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

    def model_loader(self, run: TrainRun) -> Callable[[], Any]:
        """Loads the deployed model of a run; one that was never deployed is packed into a temporary folder."""
        deployed = local_path(self.train.FINAL_DEPLOY_ROOT) / run.name

        def load() -> Any:
            from audio2face.inference import load_model

            if deployed.is_dir():
                return load_model(deployed)
            section = load_config(self.name, (), optional=("inference",), network_type=run.spec.network_type)
            with TemporaryDirectory(prefix="audio2face-view-") as folder:
                write_model(Path(folder) / run.name, run, post_configs(section["inference"], run))
                return load_model(Path(folder) / run.name)

        return load
