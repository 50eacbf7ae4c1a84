"""What no weight depends on, as config_dataset names it now: the faces of a training run's meshes, and its blendshapes."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from audio2face.config import Section, load_config
from audio2face.dataset.blendshapes import ready_blendshapes
from audio2face.dataset.faces import build_faces
from audio2face.dataset.places import check_path
from audio2face.face.topology import Topology
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npz, write_npz
from audio2face.paths import external_path, local_path, missing_root
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import ActorData, TrainRun

logger = logging.getLogger(__name__)

Files = dict[str, Path]  # "config" and "data" of the blendshapes of a mesh


def with_late_files(config_name: str, run: TrainRun) -> TrainRun:
    """The run with what the project's config_dataset names for its meshes, which may be named or corrected after training.

    Raises UserError when it is not there or of other meshes; where the run keeps some, those are used, with a warning.
    """
    try:
        dataset = load_config(config_name, (), optional=("dataset",))["dataset"]
    except UserError as error:
        logger.warning("faces and blendshapes are those of the training run: %s", error.lines[0])
        return run
    faces: dict[str, Topology] = {}
    blendshapes: dict[str, dict[str, Files]] = {}
    problems: list[str] = []
    for actor in run.spec.actors:
        data = run.actor(actor)
        counts = _num_vertices(data)
        try:
            faces[actor] = build_faces(dataset, actor, data.topology, counts["skin"], counts["tongue"], run.name)
        except UserError as error:
            problems += error.lines
        blendshapes[actor] = _blendshapes(dataset, data, counts, run.name, problems)
    raise_problems(problems)
    return replace(run, faces=faces, blendshapes=blendshapes)


def _num_vertices(data: ActorData) -> dict[str, int | None]:
    """Vertices of the meshes; None for the tongue of an actor who has none."""
    skin, tongue = (int(data.data_info[f"num_verts_{mesh}"]) for mesh in ("skin", "tongue"))
    return {"skin": skin, "tongue": tongue if data.network_data["shapes_mean_tongue"].any() else None}


def _blendshapes(
    dataset: Section, data: ActorData, counts: dict[str, int | None], run_name: str, problems: list[str]
) -> dict[str, Files]:
    found = {}
    for mesh, count in counts.items():
        keys = {"data": f"BLENDSHAPE_{mesh.upper()}_FPATH", "config": f"BLENDSHAPE_{mesh.upper()}_CONFIG_FPATH"}
        named = {kind: getattr(dataset, key).get(data.actor) for kind, key in keys.items()}
        if count is None or None in named.values():
            continue
        if mesh in data.blendshapes and not any(local_path(value).exists() for value in named.values()):
            logger.info("actor %s: using the %s blendshapes kept by run %s", data.actor, mesh, run_name)
            continue  # the data set is on another machine
        try:
            found[mesh] = _ready(data.actor, mesh, {keys[kind]: named[kind] for kind in ("data", "config")}, count)
        except UserError as error:
            if mesh not in data.blendshapes:
                problems += [f"run {run_name}: {line}" for line in error.lines]
                continue
            for line in error.lines:
                logger.warning("%s; using the blendshapes kept by run %s", line, run_name)
    return found


def _ready(actor: str, mesh: str, named: dict[str, str], num_vertices: int) -> Files:
    """Files as preprocessing would keep them, until this process ends. Raises UserError with all that is wrong."""
    missing = [line for line in map(missing_root, named.values()) if line]
    raise_problems(list(dict.fromkeys(missing)))
    paths = {key: local_path(value) for key, value in named.items()}
    raise_problems([fault for key, path in paths.items() for fault in check_path(path, key, actor, folder=False)])
    (data, config), places = paths.values(), [f"{key} {external_path(path)}" for key, path in paths.items()]
    try:
        arrays, settings, problems = ready_blendshapes(read_npz(data), read_json(config), num_vertices, *places)
    except (OSError, ValueError) as error:
        raise UserError(f"{next(iter(named))}: {error}") from error
    raise_problems(problems)
    folder = Path(tempfile.mkdtemp(prefix="audio2face-blendshapes-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    kept = {"config": folder / f"bs_{mesh}_config_{actor}.json", "data": folder / f"bs_{mesh}_{actor}.npz"}
    write_json(kept["config"], settings)
    write_npz(kept["data"], arrays)
    return kept
