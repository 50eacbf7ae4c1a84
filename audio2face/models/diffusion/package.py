"""The deployed model of a diffusion run, with all its actors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio2face.deploy.files import copy_blendshapes, copy_export, copy_topology, require_export, write_model_data
from audio2face.deploy.package import ENGINE_FILE
from audio2face.formats.json_file import write_json
from audio2face.models.diffusion.readme import diffusion_readme
from audio2face.runs.train_run import TrainRun


def write_package(folder: Path, run: TrainRun, _: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """One network for all actors, and each actor's data beside it, in identity order."""
    actors = [run.actor(name) for name in run.spec.actors]
    require_export(run, run.spec.actors[0])
    copy_export(run, run.spec.actors[0], folder)
    for actor in actors:
        write_json(folder / f"model_config_{actor.actor}.json", {"config": dict(configs[actor.actor])})
        write_model_data(folder / f"model_data_{actor.actor}.npz", actor.network_data)
        copy_topology(folder, actor)
    model = {
        "networkInfoPath": "network_info.json",
        "networkPath": ENGINE_FILE,
        "modelConfigPaths": [f"model_config_{actor.actor}.json" for actor in actors],
        "modelDataPaths": [f"model_data_{actor.actor}.npz" for actor in actors],
        "blendshapePaths": [copy_blendshapes(folder, actor) for actor in actors],
    }
    write_json(folder / "model.json", model)
    (folder / "README.md").write_text(diffusion_readme(run, actors), encoding="utf-8")
