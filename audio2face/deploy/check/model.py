"""Checks a deployed model folder against everything that the runtime demands, or accepts and gets wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.confined import confined
from audio2face.deploy.check import network
from audio2face.deploy.check.arrays import Npz, check_emotion_db, check_model_data
from audio2face.deploy.check.blendshapes import check_params, check_poses
from audio2face.deploy.check.network_info import NetworkInfo, check_network_info
from audio2face.deploy.check.rules import RULES, brief, label
from audio2face.deploy.check.strict_json import Fields, read_object, same_length
from audio2face.deploy.signature import CURVES_NETWORK
from audio2face.formats.git_lfs import pointer_fault
from audio2face.lazy import lazy
from audio2face.postprocess.limits import CONFIG_LIMITS, key_problem
from audio2face.problems import INFO, Problem, Problems, Where

__all__ = ["RULES", "check_model", "inspect_deployed", "inspect_model", "model_folders"]

ENGINE = "onnxruntime"  # what runs networks here
_ENGINE_MAGIC = (b"ftrt", b"ptrt")
read_curve_channels = lazy("audio2face.face.channels_file", "read_curve_channels")  # not every model has curves
_ONNX_START = b"\x08"  # the field of the format's version, which is written first


def check_model(folder: Path, geometry_only: bool = False, trusted: bool = True) -> list[Problem]:
    """Every violation found in a deployed model; empty for a sound one.

    `geometry_only`: the model is not meant to give blendshape weights, so their files may be missing. Files are treated
    as untrusted: nothing is unpickled, and damage of any kind is a Problem. Files outside the folder are read only for
    a `trusted` one. NotADirectoryError: no such folder.
    """
    return inspect_model(folder, geometry_only, trusted).errors


def model_folders(folder: Path) -> list[Path]:
    """The folder itself, or the model folders of several actors inside a folder that has no model.json."""
    inside = sorted({path.parent for name in ("model.json", "network_info.json") for path in folder.glob(f"*/{name}")})
    return inside if inside and not (folder / "model.json").exists() else [folder]


def inspect_model(folder: Path, geometry_only: bool = False, trusted: bool = True) -> Problems:
    """check_model's problems, and as infos (rule "note") what is worth knowing beside them."""
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    report = _Check(folder, geometry_only, trusted).run()
    assert {problem.rule for problem in report} <= {*RULES, "note"}, report
    return report


def inspect_deployed(folder: Path, blendshapes: bool = False, trusted: bool = True) -> Problems:
    """inspect_model as deploying, `tools/check_model.py` and `audio2face.load_model` judge a model, all alike.

    What a project may choose is an info: geometry alone, unless `blendshapes` are requested, and a STREAMING_CFG whose
    windows lose the first frame (rule "windows"). The files are opened, and the network is run, in a process of its own.
    """
    report = Problems()
    try:
        found = confined(_found, os.fspath(folder), blendshapes, trusted, load=[ENGINE])
    except (ValueError, MemoryError) as error:
        report.error("onnx-run", str(error))
        return report
    for problem in (Problem(**{**fields, "where": Where(**fields["where"])}) for fields in found):
        report.extend([replace(problem, level=INFO) if problem.rule == "windows" else problem])
    return report


def _found(folder: str, blendshapes: bool, trusted: bool) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in inspect_model(Path(folder), not blendshapes, trusted)]


class _Check:
    """One pass over a model folder; `info` and what the files yield is handed from rule to rule."""

    def __init__(self, folder: Path, geometry_only: bool, trusted: bool = True):
        self.folder, self.trusted = folder, trusted
        self.geometry_only = geometry_only
        self.report = Problems()
        self.info = NetworkInfo()

    def run(self) -> Problems:
        model = self.object("model.json")
        if model is None:
            return self.report
        root = self.object(model.text("networkInfoPath"))
        if root is not None:
            self.info = check_network_info(root)
        if self.info.regression:
            self.regression(model)
        elif self.info.kind is not None:
            self.diffusion(model)
        self.network(model.text("networkPath"))
        return self.report

    # -- files

    def open(self, name: str | None, rule: str = "file-missing") -> Path | None:
        """The path of a file that the model names, when there is one to read."""
        if name is None:
            return None
        try:
            path = self.folder / name
            outside = not path.resolve().is_relative_to(self.folder.resolve())
            if outside and not self.trusted:
                self.report.error(rule, "lies outside the model's folder", file=label(name))
                return None
            if not path.is_file():
                self.report.error(rule, "is named by the model, but there is no such file", file=label(name))
                return None
            if path.stat().st_size == 0:
                self.report.error("file-empty", "is empty", file=name)
                return None
            if fault := pointer_fault(path):
                self.report.error("file-empty", f"is {fault}", file=name)
                return None
            if outside:
                self.report.info(
                    "note", "lies outside the model folder, which cannot be moved or copied without it", file=name
                )
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links
            self.report.error(rule, f"cannot be opened: {brief(str(error))}", file=label(name))
            return None
        return path

    def guard(self, name: str, check: Callable[..., Any], *args: Any) -> Any:
        """check(*args), or None with a problem when the file cannot be read."""
        try:
            return check(*args)
        except OSError as error:
            self.report.error("unreadable", f"cannot be read: {error.strerror or brief(str(error))}", file=name)
            return None

    def object(self, name: str | None) -> Fields | None:
        path = self.open(name)
        if path is None or name is None:
            return None
        values = self.guard(name, read_object, path, name, self.report)
        return None if values is None else Fields(values, name, "", self.report)

    def npz(self, name: str | None) -> Npz | None:
        path = self.open(name)
        return None if path is None or name is None else self.guard(name, Npz.open, path, name, self.report)

    # -- rules across files

    def regression(self, model: Fields) -> None:
        config_name = model.text("modelConfigPath")
        shot, frame = self.config(config_name)
        data = self.data(model.text("modelDataPath"))
        emotions = self.npz(model.text("emotionDatabasePath"))
        if emotions is not None:
            width = self.info.numbers.get("implicit_emotion_len")
            self.guard(
                emotions.file, check_emotion_db, emotions, width, shot, frame, config_name or "model_config.json"
            )
        if not self.geometry_only or "blendshapePaths" in model.values:
            self.blendshapes(model.object("blendshapePaths"), data)

    def diffusion(self, model: Fields) -> None:
        configs, datas, sets = model.texts("modelConfigPaths"), model.texts("modelDataPaths"), None
        if not self.geometry_only or "blendshapePaths" in model.values:
            sets = model.objects("blendshapePaths")
        lists = {"modelConfigPaths": configs, "modelDataPaths": datas, "blendshapePaths": sets}
        lists["params.identities"] = self.info.identities
        lengths = [(name, None if items is None else len(items)) for name, items in lists.items()]
        same_length(self.report, model.file, "list-length", lengths)
        for name in configs or []:
            self.config(name)
        data = [self.data(name) for name in datas or []]
        for i, entry in enumerate(sets or []):
            self.blendshapes(entry, data[i] if i < len(data) else {})

    def config(self, name: str | None) -> tuple[str | None, int | None]:
        """model_config: ranges; returns source_shot and source_frame of a regression model."""
        root = self.object(name)
        config = None if root is None else root.object("config")
        if config is None:
            return None, None
        for key in CONFIG_LIMITS:
            if config.number(key) is not None and (problem := key_problem(config.values, key)):
                self.report.error("config-range", problem, file=config.file)
        if not self.info.regression:
            if config.values.get("input_strength") not in (1, None):
                self.report.info(
                    "note",
                    "input_strength has no effect on a diffusion model unless the host sets it",
                    file=config.file,
                )
            return None, None
        return config.text("source_shot"), config.unsigned("source_frame")

    def data(self, name: str | None) -> dict[str, np.ndarray]:
        """model_data: returns its sound arrays, flat."""
        npz = self.npz(name)
        if npz is None:
            return {}
        return self.guard(npz.file, check_model_data, npz, self.info.sizes(), self.info.regression) or {}

    def blendshapes(self, entry: Fields | None, data: dict[str, np.ndarray]) -> None:
        """The four blendshape files of one actor; a part may be left out of a model that is for geometry only."""
        if entry is None:
            return
        for part in ("skin", "tongue"):
            if part not in entry.values:
                message = f"{entry.where} has no {part}; without both parts the runtime gives no blendshape weights"
                if self.geometry_only:
                    self.report.info("note", message, file=entry.file)
                else:
                    self.report.error("blendshape-paths", message, file=entry.file)
                continue
            pair = entry.object(part)
            if pair is None:
                continue
            root, npz = self.object(pair.text("config")), self.npz(pair.text("data"))
            num_poses = None if root is None else check_params(root)
            if npz is not None:
                mesh = data.get(f"shapes_mean_{part}" if self.info.regression else f"neutral_{part}")
                self.guard(npz.file, check_poses, npz, num_poses, mesh, self.info.sizes().get(part))

    # -- the network

    def network(self, name: str | None) -> None:
        if name is None:
            return
        onnx, fixed = self.folder / "network.onnx", None
        if name.endswith(".onnx"):
            self.report.error("network-file", "networkPath names an ONNX file; it must be an engine", file="model.json")
        elif onnx.is_file() and not self.exists(name):
            if others := [path.name for path in sorted(self.folder.glob("*.trt"))]:
                message = f"is named by the model, but the engine is {label(others[0])}"
                self.report.error("network-file", message, file=label(name))
            else:
                self.report.info("note", "is not built yet: build it from network.onnx with trtexec", file=label(name))
        elif (engine := self.open(name, "network-file")) is not None:
            self.guard(name, self.engine, engine, name)
        if not onnx.is_file():
            self.report.info("note", "is missing: the network's tensors were not checked", file="network.onnx")
        elif self.open("network.onnx") is not None:
            fixed = network.check_onnx(onnx, "network.onnx", self.info, self.report)
        self.curves()
        if not (self.folder / "trt_info.json").is_file():
            self.report.info("note", "is missing: scripts that build the engine need it", file="trt_info.json")
        elif (root := self.object("trt_info.json")) is not None:
            network.check_trt_info(root, self.info, fixed)

    def curves(self) -> None:
        """The network that gives curves beside the face, and what they are; the runtime looks at neither."""
        listed = sorted(self.folder.glob("channels*.json"))
        if (self.folder / CURVES_NETWORK).exists() != bool(listed):
            lacking = CURVES_NETWORK if listed else "channels.json"
            self.report.error("curves", "is missing, and belongs to the model's curves", file=lacking)
        sizes = set()
        for path in listed:
            name = path.name
            if self.open(name) is None:
                return
            try:
                sizes.add(read_curve_channels(self.folder, name).layout.size)
            except (ValueError, OSError) as error:
                self.report.error("curves", brief(str(error)), file=name)
                return
        if len(sizes) > 1:
            self.report.error("curves", "the actors' channels are not those of one network", file="channels.json")
        elif sizes and self.open(CURVES_NETWORK) is not None:
            network.check_onnx(self.folder / CURVES_NETWORK, CURVES_NETWORK, self.info, self.report, sizes.pop())

    def engine(self, path: Path, name: str) -> None:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start[:1] == _ONNX_START:
            self.report.error("network-file", "is an ONNX file; it must be an engine built from one", file=name)
        elif start not in _ENGINE_MAGIC and start.isascii() and start.decode("ascii").isprintable():
            self.report.error(
                "network-file", "is a text file, perhaps a git-lfs pointer; it must be an engine", file=name
            )
        elif start not in _ENGINE_MAGIC:
            self.report.info("note", "does not look like a serialized TensorRT engine", file=name)

    def exists(self, name: str) -> bool:
        try:
            return (self.folder / name).exists()
        except (OSError, ValueError):
            return False
