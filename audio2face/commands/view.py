"""What `python -m runners.view` shows: finds what the user named and builds the viewer's library from it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.commands.infer import inference_section, prepare
from audio2face.config import Section, load_config, project_folder
from audio2face.face.codec import FaceCodec
from audio2face.formats.body_mesh import BodyMesh
from audio2face.inference.guides import GuidePlan, build_guide, check_guide
from audio2face.models import run_family
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import FULL_NAME, LATEST, final_path, is_complete
from audio2face.runs.train_run import TrainRun, load_train_run, read_spec
from audio2face.viewer.library import Library
from audio2face.viewer.project import Project
from audio2face.viewer.scenes import RUNS, ViewRequest, build_studio, of_dataset, of_path
from audio2face.viewer.studio import GuideChoice, Settings, Studio, Work

logger = logging.getLogger(__name__)

EVALUATIONS = "/workspace/output_evaluate"
GUIDE, MOST_GUIDES = "guide", 20  # of which the page offers so many


def build_library(request: ViewRequest) -> Library:
    """Find everything. Raises UserError naming what is missing and how to get it."""
    place = Path(request.what).expanduser()
    if request.name is None and place.exists() and (place.is_file() or not _is_config(request.what)):
        return of_path(place, request)
    if request.name is None and not _is_config(request.what) and ("/" in request.what or place.suffix):
        raise UserError(f"{request.what}: no such file or folder")
    project = _build_project(request.what)
    if request.name is None or request.name in project.actor_names:
        return of_dataset(project, [request.name] if request.name else project.actor_names)
    kind, folder = _find(request, project)
    return RUNS[kind](project, folder)


def _is_config(name: str) -> bool:
    try:
        return project_folder(name).is_dir()
    except UserError:
        return False


def _build_project(name: str) -> Project:
    """Raises UserError when there is no such project, or its configs are wrong."""
    dataset = load_config(name, (), optional=("dataset",))["dataset"]
    train = train_section(name, "")

    def inference_configs(run: TrainRun) -> dict[str, dict[str, Any]]:
        return post_configs(inference_section(name, run), run)

    def studio(run: TrainRun, bodies: Mapping[str, BodyMesh]) -> Studio | None:
        return _build_studio(name, train, run, bodies) if run_family(run).edits else None

    return Project.build(name, dataset if dataset.file else None, train, inference_configs, studio)


def _build_studio(config_name: str, train: Section, run: TrainRun, bodies: Mapping[str, BodyMesh]) -> Studio:
    """What makes and edits animations on the page with a run's network, as `run_inference.py` does."""

    def ready(keys: Mapping[str, Any]) -> tuple[Work, Callable[[Path], str]]:
        prepared = prepare(config_name, train, run, keys)

        def keep(made: Path) -> str:
            with prepared.folder() as folder:
                shutil.copytree(made, folder, dirs_exist_ok=True)
            return final_path(folder).name

        return prepared.job, keep

    settings = _settings(config_name, inference_section(config_name, run), train, run)
    return build_studio(run, ready, lambda: runtimes.start().device, settings, bodies)


def _settings(config_name: str, section: Section, train: Section, run: TrainRun) -> Settings:
    """What config_inference asks of a network that makes animations, and the guides that there are for it.

    Raises UserError when it is wrong, also about GUIDE_RUN.
    """
    sampling = run_family(run).options(section, run).sampling
    hears, name = bool(run.spec.extra.get("partner")), section.GUIDE_RUN
    guidance = {name: scale for name, scale in sampling.guidance.items() if hears or name != "partner"}
    codecs = {actor: run.spec.output_codec(run.actor(actor)) for actor in run.spec.actors}
    guides = _guides(local_path(train.TRAIN_OUTPUT_ROOT), codecs)
    if name is not None:
        guide = find_training_run(config_name, name, train)
        check_guide(guide, codecs, None)
        name, others = guide.name, [other for other in guides if other.name != guide.name]
        guides = [_choice(build_guide(guide, 0, section)), *others]
    return Settings(guidance, sampling.respacing, tuple(guides), name)


def _guides(root: Path, codecs: Mapping[str, FaceCodec]) -> list[GuideChoice]:
    """The guides of a folder of training runs that fit one of the actors whose `codecs` these are, the newest first."""
    found: list[GuideChoice] = []
    for folder in sorted(root.iterdir(), reverse=True):
        if len(found) == MOST_GUIDES or not FULL_NAME.match(folder.name) or not is_complete(folder):
            continue
        try:
            if read_spec(folder).network_type == GUIDE:
                guide = load_train_run(folder)
                shared = {name: codec for name, codec in codecs.items() if name in guide.spec.actors}
                check_guide(guide, shared or codecs, None)
                found.append(_choice(build_guide(guide, 0)))
        except UserError as error:
            logger.info("not among the guides: %s", error.lines[0])
    return found


def _choice(plan: GuidePlan) -> GuideChoice:
    drawing = plan.options.sampling
    return GuideChoice(plan.run.name, drawing.top_p, drawing.temperature)


def _find(request: ViewRequest, project: Project) -> tuple[str, Path]:
    """The kind and folder of the run that was named. A deployed model is shown through its training run."""
    name = str(request.name)
    train = train_section(request.what, name)
    inference = load_config(request.what, (), optional=("inference",))["inference"]
    roots = {"inference": inference.INFERENCE_OUTPUT_ROOT, "evaluate": EVALUATIONS, "train": train.TRAIN_OUTPUT_ROOT}
    if request.kind in (None, "train", "deploy") and name == LATEST:
        return "train", find_training_run(request.what, name, train).path
    kinds = ["train" if request.kind == "deploy" else request.kind] if request.kind else list(roots)
    for kind in kinds:
        root = local_path(roots[kind])
        found = _newest(root, train.RUN_NAME) if name == LATEST else root / name
        if found is not None and FULL_NAME.match(found.name) and found.parent == root and found.is_dir():
            if not is_complete(found):
                raise UserError(f"{kind} run {name} is incomplete: its command did not finish ({external_path(found)})")
            return kind, found
    places = ", ".join(external_path(local_path(roots[kind])) for kind in kinds)
    if name == LATEST:
        made_by = f"python run_{request.kind}.py {request.what} latest"
        raise UserError(f"no finished {request.kind} run named {train.RUN_NAME} in {places}; make one with: {made_by}")
    actors = ", ".join(project.actor_names) or "none"
    raise UserError(
        f"{name}: no finished run of that name in {places}, nor an actor of {request.what} (actors: {actors}); "
        f"latest stands for the newest training run, `--kind inference latest` for the newest inference"
    )


def _newest(root: Path, run_name: str) -> Path | None:
    folders = sorted(root.iterdir(), reverse=True) if root.is_dir() else []
    named = [f for f in folders if (m := FULL_NAME.match(f.name)) and m[2] == run_name and is_complete(f)]
    return named[0] if named else None
