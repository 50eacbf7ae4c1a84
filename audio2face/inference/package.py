"""A model in memory: a deployed model's folder, checked first (nothing in it is trusted, nothing is unpickled), or what a
training run has of the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.deploy.check.model import inspect_deployed
from audio2face.deploy.files import require_export
from audio2face.deploy.signature import CURVES_NETWORK
from audio2face.face.channels_file import read_curve_channels
from audio2face.face.codec import FaceCodec
from audio2face.face.topology import read_topology
from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npz
from audio2face.inference.clip import FaceFiles
from audio2face.models import run_family
from audio2face.paths import external_path
from audio2face.postprocess.rig import read_rig
from audio2face.problems import UserError
from audio2face.runs.emotion_db import read_emotion_db
from audio2face.runs.manifest import faults, require_whole, size_faults
from audio2face.runs.train_run import AGAIN, TrainRun

logger = logging.getLogger(__name__)

NETWORK_FILE = "network.onnx"
ENGINE_RULES = ("trt-info", "network-file")  # about the TensorRT engine, which is not used here


@dataclass(frozen=True)
class Actor:
    """One actor of a model: CONFIG, the arrays of model_data.npz, what is known of the meshes, implicit emotion (I,).

    `codec` names the channels of the network's rows: of a training run, whose rows can be had without CONFIG, all of them;
    of a deployed model the groups of curves, which come last.
    """

    name: str
    config: Mapping[str, Any]
    data: Mapping[str, np.ndarray]
    face: FaceFiles
    implicit: np.ndarray | None = None
    codec: FaceCodec = FaceCodec(())

    @property
    def on_coefficients(self) -> bool:
        """Whether a network's rows hold coefficients of the meshes, and not offsets of vertices from their rest pose."""
        return "shapes_matrix_skin" in self.data


@dataclass(frozen=True)
class Package:
    """A model folder. `params` and `audio` are of network_info.json."""

    folder: Path
    curves: bool
    regression: bool
    params: Mapping[str, Any]
    audio: Mapping[str, int]
    emotions: tuple[str, ...]
    actors: tuple[Actor, ...]

    @property
    def network(self) -> Path:
        """The network to run: where there are curves, the one that gives them beside the face."""
        return self.folder / (CURVES_NETWORK if self.curves else NETWORK_FILE)


def read_package(folder: Path) -> Package:
    """Check and read a model folder. Raises UserError with everything that is wrong with it."""
    require_whole(folder, "model", size_faults(folder), "deploy it again")
    if not (folder / "model.json").is_file():
        raise UserError(f"{folder} is not a deployed model: it has no model.json")
    if not (folder / NETWORK_FILE).is_file():
        raise UserError(f"{folder} has no {NETWORK_FILE}; a TensorRT engine alone cannot be run here")
    with ThreadPoolExecutor(1) as beside:  # the check has a process of its own
        damage = beside.submit(faults, folder)
        try:
            found = inspect_deployed(folder, trusted=False).errors
        finally:  # what is damaged explains all else
            require_whole(folder, "model", damage.result(), "deploy it again")
    problems = [p for p in found if p.rule not in ENGINE_RULES]
    if problems:
        raise UserError([f"{folder} is not a valid model:", *map(str, problems)])
    model = read_json(folder / "model.json")
    info = read_json(_inside(folder, model["networkInfoPath"]))
    read = _read_regression if info["id"]["type"] == "regression" else _read_diffusion
    try:
        return read(folder, model, info)
    except (ValueError, OSError) as error:
        raise UserError(f"{folder}: {error}") from error


def run_actor(run: TrainRun, name: str, config: Mapping[str, Any], rigs: bool = True) -> Actor:
    """An actor of a training run with its CONFIG, and its blendshapes if wanted. Raises UserError."""
    data = run.actor(name)
    arrays, codec, implicit = run_family(run).actor_arrays(run, data, config)
    try:
        found = {mesh: read_rig(**files) for mesh, files in data.blendshapes.items()} if rigs else {}
    except ValueError as error:
        raise UserError(f"training run: {error}") from error
    at_rest = run.spec.at_rest(name)
    groups = {group: what for group, what in codec.groups.items() if group not in at_rest}
    face = FaceFiles(data.topology, found, groups, has_mesh(arrays) or not groups)
    return Actor(name, config, arrays, face, implicit, codec)


def run_packages(run: TrainRun, configs: Mapping[str, Mapping[str, Any]]) -> list[Package]:
    """What a training run would be deployed as, one package for each exported network. Raises UserError."""
    folders: dict[Path, list[Actor]] = {}
    for name in run.spec.actors:
        require_export(run, name)
        folders.setdefault(run.export_folder(name), []).append(run_actor(run, name, configs[name]))
    packages = []
    for folder, actors in folders.items():
        try:
            info = read_json(folder / "network_info.json")
            regression, params = info["id"]["type"] == "regression", info["params"]
            emotions, audio = tuple(params["explicit_emotions" if regression else "emotions"]), info["audio_params"]
        except (ValueError, KeyError, TypeError) as error:
            where = external_path(folder / "network_info.json")
            raise UserError(f"training run {run.name} is damaged: {where}: {error!r}; {AGAIN}") from error
        packages.append(Package(folder, bool(run.spec.groups), regression, params, audio, emotions, tuple(actors)))
    return packages


def _read_regression(folder: Path, model: dict[str, Any], info: dict[str, Any]) -> Package:
    params = info["params"]
    config = read_json(_inside(folder, model["modelConfigPath"]))["config"]
    data = read_npz(_inside(folder, model["modelDataPath"]))
    shapes = {
        "skin": (params["num_shapes_skin"], params["num_verts_skin"], 3),
        "tongue": (params["num_shapes_tongue"], params["num_verts_tongue"], 3),
    }
    arrays = {name: data[name].reshape(-1, 3) for name in _COMMON}
    for mesh, shape in shapes.items():
        arrays[f"shapes_matrix_{mesh}"] = data[f"shapes_matrix_{mesh}"].reshape(shape)
        arrays[f"shapes_mean_{mesh}"] = data[f"shapes_mean_{mesh}"].reshape(shape[1:])
    arrays["saccade_rot_matrix"] = data["saccade_rot_matrix"].reshape(-1, 2)
    place = _inside(folder, model["emotionDatabasePath"])
    database, shot, frame = read_emotion_db(place), config["source_shot"], int(config["source_frame"])
    start, count = database.spans.get(shot, (0, 0))
    if not 0 <= frame < count:
        raise ValueError(f"{place}: has no frame {frame} of a shot {shot!r}, which {model['modelConfigPath']} names")
    implicit = database.vectors[start + frame]
    name = str(info["id"]["actor"])
    entry = model.get("blendshapePaths") or {}
    face = _read_face(folder, name, entry, params["num_verts_skin"], params["num_verts_tongue"])
    codec = read_curve_channels(folder)
    actor = Actor(name, config, arrays, _with_curves(face, codec, arrays), implicit, codec)
    emotions, curves = tuple(params["explicit_emotions"]), bool(codec.channels)
    return Package(folder, curves, True, params, info["audio_params"], emotions, (actor,))


def _read_diffusion(folder: Path, model: dict[str, Any], info: dict[str, Any]) -> Package:
    params, actors = info["params"], []
    sets = model.get("blendshapePaths") or [{}] * len(params["identities"])
    rows = zip(params["identities"], model["modelConfigPaths"], model["modelDataPaths"], sets, strict=True)
    for name, config, data_file, entry in rows:
        data = read_npz(_inside(folder, data_file))
        arrays = {key: data[key].reshape(-1, 3) for key in (*_COMMON, "neutral_skin", "neutral_tongue")}
        arrays["saccade_rot_matrix"] = data["saccade_rot_matrix"].reshape(-1, 2)
        face = _read_face(folder, name, entry, params["skin_size"] // 3, params["tongue_size"] // 3)
        codec = read_curve_channels(folder, f"channels_{_safe(name)}.json")
        face = _with_curves(face, codec, arrays)
        actors.append(Actor(name, read_json(_inside(folder, config))["config"], arrays, face, None, codec))
    curves = any(actor.codec.channels for actor in actors)
    return Package(folder, curves, False, params, info["audio_params"], tuple(params["emotions"]), tuple(actors))


_COMMON = ("eye_close_pose_delta", "lip_open_pose_delta", "neutral_jaw")


def _read_face(folder: Path, actor: str, entry: Mapping[str, Any], num_skin: int, num_tongue: int) -> FaceFiles:
    rigs = {
        mesh: read_rig(_inside(folder, files["config"]), _inside(folder, files["data"]))
        for mesh, files in entry.items()
        if mesh in ("skin", "tongue")
    }
    path = _inside(folder, f"triangles_{_safe(actor)}.npz")
    return FaceFiles(read_topology(path, int(num_skin), int(num_tongue)), rigs)


def _safe(actor: str) -> str:
    return "".join(c for c in actor if c.isalnum() or c in "-_. ")


def has_mesh(data: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays of a model hold a face mesh, and not the still point that stands for none."""
    return len(data["eye_close_pose_delta"]) > 2


def _with_curves(face: FaceFiles, codec: FaceCodec, data: Mapping[str, np.ndarray]) -> FaceFiles:
    at_rest = {channel.name for channel in codec.channels if not np.any(channel.scale)}
    groups = {name: group for name, group in codec.groups.items() if name not in at_rest}
    return replace(face, curves=groups, has_mesh=has_mesh(data) or not groups)


def _inside(folder: Path, name: str) -> Path:
    """A file that the model names. Raises UserError when it lies outside the model's folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder}/model.json names {name!r}, which lies outside the model's folder")
    return path
