"""The deployed model of one actor of a regression run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio2face.deploy.files import copy_blendshapes, copy_export, copy_topology, require_export, write_model_data
from audio2face.deploy.package import ENGINE_FILE
from audio2face.formats.json_file import write_json
from audio2face.models.regression.readme import regression_readme
from audio2face.runs.emotion_db import MEAN_SHOT, write_emotion_db
from audio2face.runs.train_run import EMOTION_DB_FILE, ActorData, NetworkSpec, TrainRun


def regression_network_info(spec: NetworkSpec, actor: ActorData, implicit_len: int) -> dict[str, Any]:
    """network_info.json of one actor's exported regression network."""
    sizes = actor.codec.layout.sizes
    return {
        "id": {"type": "regression", "actor": actor.actor, "version": spec.network_version, "output": "geometry"},
        "params": {
            "implicit_emotion_len": implicit_len,
            "explicit_emotions": spec.emotion_inputs,
            "default_emotion": spec.emotion_vector(None).tolist(),
            "identities": [actor.actor],
            "num_shapes_skin": sizes["skin_coeffs"],
            "num_verts_skin": int(actor.data_info["num_verts_skin"]),
            "num_shapes_tongue": sizes["tongue_coeffs"],
            "num_verts_tongue": int(actor.data_info["num_verts_tongue"]),
            "result_jaw_size": sizes["jaw"],
            "result_eyes_size": sizes["eye"],
        },
        "audio_params": dict(spec.audio_params),
    }


def write_package(folder: Path, run: TrainRun, actor: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """The network of `actor`, its emotions and geometry."""
    config = configs[actor]
    require_export(run, actor)
    database = run.emotion_db(actor)
    shot, row = database.locate(config.get("source_shot"), config.get("source_frame"))
    data = run.actor(actor)
    copy_export(run, actor, folder)
    if shot == MEAN_SHOT and shot not in database.spans:
        write_emotion_db(folder / EMOTION_DB_FILE, database.with_mean())
    write_json(folder / "model_config.json", {"config": {**config, "source_shot": shot, "source_frame": row}})
    write_model_data(folder / "model_data.npz", data.network_data)
    copy_topology(folder, data)
    model = {
        "networkInfoPath": "network_info.json",
        "networkPath": ENGINE_FILE,
        "modelConfigPath": "model_config.json",
        "modelDataPath": "model_data.npz",
        "emotionDatabasePath": EMOTION_DB_FILE,
        "blendshapePaths": copy_blendshapes(folder, data),
    }
    write_json(folder / "model.json", model)
    (folder / "README.md").write_text(regression_readme(run, data, database, shot, row), encoding="utf-8")
