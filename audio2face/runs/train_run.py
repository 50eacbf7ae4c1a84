"""A training run, `output_train/<run>`: all that is needed to rebuild its networks, package them and run them.

```
<run>/network_info_full.json            NetworkSpec
<run>/weights.pth                       written and read by `networks`
<run>/actors/<actor>/…                  the actor's geometry and blendshapes, copied from its preproc run
<run>/deploy/…                          network.onnx, network_info.json, trt_info.json, implicit_emo_db.npz
<run>/deploy/<actor>/…                  the same, when a regression network was trained on several actors
```
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np

from audio2face.face.channels_file import CHANNELS_FILE, read_curve_channels, write_channels
from audio2face.face.codec import MESHES, Channel, FaceCodec, build_codec, kind_of
from audio2face.face.emotions import EmotionLabel, emotion_track, emotion_vector
from audio2face.face.topology import TRIANGLES_FILE, Topology, read_topology, write_topology
from audio2face.formats.budget import whole
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npy, read_npz, write_npy, write_npz
from audio2face.paths import atomic, external_path
from audio2face.problems import UserError
from audio2face.runs.emotion_db import EmotionDB, read_emotion_db
from audio2face.runs.manifest import check_file, require_whole, size_faults
from audio2face.runs.run_dir import read_config_json
from audio2face.types import Pca

SPEC_FILE = "network_info_full.json"
WEIGHTS_FILE = "weights.pth"
ACTOR_FILES = ("network_data.npz", "data_info.json", "mean_geometry.npy")
EMOTION_DB_FILE = "implicit_emo_db.npz"
EXPORTS = "deploy"  # the folder of the exported networks
AGAIN = "train again"


@dataclass(frozen=True)
class NetworkSpec:
    """What a trained network is: everything but its weights. Kept as network_info_full.json.

    `emotion_names` are in network order without `zero_emotion`, the one that all zeros stand for. `channels` are in the
    network's order; `channel_sizes` gives their number of values for each actor. `default_emotion` is a name.
    """

    network_type: str
    network_name: str
    network_version: str
    hyper_params: dict[str, Any]
    actors: list[str]
    emotion_names: list[str]
    zero_emotion: str | None
    default_emotion: str
    channels: list[str]
    channel_sizes: dict[str, dict[str, int]]
    fps: float
    audio_params: dict[str, int]
    audio_method: str
    rescale: bool
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def emotion_inputs(self) -> list[str]:
        """The emotions of the deployed network's input, in order.

        The runtime refuses a model without any, so that a network that knows none gets one, which has no effect.
        """
        return list(self.emotion_names) or [self.zero_emotion or self.default_emotion]

    @property
    def max_sizes(self) -> dict[str, int]:
        """{channel: number of values} of the network's output: the largest over actors, in network order."""
        return {channel: max(self.channel_sizes[a][channel] for a in self.actors) for channel in self.channels}

    @property
    def groups(self) -> dict[str, int]:
        """{group of curves: number of values} of the network's output, in its order."""
        return {name: size for name, size in self.max_sizes.items() if kind_of(name) == "curves"}

    def at_rest(self, actor: str) -> list[str]:
        """Channels (of the data set: skin_coeffs, tongue_coeffs, jaw, eye) of which an actor has no data: they do not move."""
        return list(self.extra.get("absent", {}).get(actor, []))

    def output_codec(self, actor: ActorData) -> FaceCodec:
        """The actor's channels, with the scales that take the network's output to data units: 0 for what is at rest.

        Of curves the groups that the network gives, in its order; those of other actors stay empty.
        """
        face, own = actor.codec.face, {channel.name: channel for channel in actor.curves.channels}
        plain = {} if self.rescale else dict.fromkeys(face.layout.sizes, 1.0)
        groups = (own.get(name, Channel(name, "curves", size, 0.0)) for name, size in self.groups.items())
        codec = FaceCodec((*face.channels, *groups))
        return codec.with_scales({**plain, **dict.fromkeys(self.at_rest(actor.actor), 0.0)})

    def emotion_vector(self, label: EmotionLabel) -> np.ndarray:
        """(E,) float32 of one emotion for the deployed network's input. Raises UserError naming the known emotions."""
        return emotion_vector(label, self.emotion_inputs, self.default_emotion, self.zero_emotion)

    def emotion_track(self, label: Any, times_s: np.ndarray) -> np.ndarray:
        """(T, E) of one emotion or a timeline of them, at moments (T,) in seconds. Raises UserError."""
        return emotion_track(label, self.emotion_inputs, self.default_emotion, self.zero_emotion, times_s)


class PreprocFiles(Protocol):
    """What a training run keeps of a preproc run."""

    @property
    def network_data(self) -> dict[str, np.ndarray]: ...
    @property
    def data_info(self) -> dict[str, Any]: ...
    @property
    def mean_geometry(self) -> np.ndarray: ...
    @property
    def blendshapes(self) -> dict[str, dict[str, Path]]: ...
    @property
    def topology(self) -> Topology: ...
    @property
    def curves(self) -> FaceCodec: ...


@dataclass(frozen=True)
class ActorData:
    """One actor's geometry and scales.

    `network_data`: the arrays of network_data.npz, float32 in data units. `data_info`: its JSON. `mean_geometry`: (C,)
    normalised. `blendshapes`: {"skin" or "tongue": {"config": path, "data": path}}, only what the actor has. `topology`:
    the meshes' faces, as far as they are known. `curves`: the groups of curves.
    """

    actor: str
    network_data: dict[str, np.ndarray]
    data_info: dict[str, Any]
    mean_geometry: np.ndarray
    blendshapes: dict[str, dict[str, Path]]
    topology: Topology = field(default_factory=Topology)
    curves: FaceCodec = FaceCodec(())

    @property
    def codec(self) -> FaceCodec:
        """The channels of this actor, meshes by coefficients: the rows of an exported regression network, then curves."""
        return deployed_codec(self)

    @property
    def poses(self) -> FaceCodec:
        """The same with vertices for coefficients: the frames of an exported diffusion network."""
        return self.codec.on_vertices(self.mean_geometry)


def deployed_codec(files: PreprocFiles) -> FaceCodec:
    """The channels of an actor whose meshes are about the neutral geometry of its network_data; groups of curves last."""
    data = files.network_data
    shapes = {m: [np.asarray(data[f"shapes_{what}_{m}"], np.float32) for what in ("matrix", "mean")] for m in MESHES}
    face = build_codec(files.data_info, {mesh: Pca(*arrays) for mesh, arrays in shapes.items()})
    return FaceCodec((*face.channels, *files.curves.channels))


@dataclass(frozen=True)
class TrainRun:
    """A finished training run on disk. Arrays are read when asked for.

    `faces` {actor: faces of the meshes} and `blendshapes` {actor: as in ActorData} go before those that the run keeps.
    """

    path: Path
    spec: NetworkSpec
    faces: Mapping[str, Topology] = field(default_factory=dict)
    blendshapes: Mapping[str, dict[str, dict[str, Path]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The full run name."""
        return self.path.name

    @property
    def weights(self) -> Path:
        """Where the network's weights are."""
        return self.path / WEIGHTS_FILE

    @property
    def one_folder(self) -> bool:
        """Whether all actors share one exported network."""
        return not any((self.path / EXPORTS / actor).is_dir() for actor in self.spec.actors)

    def export_folder(self, actor: str) -> Path:
        """The folder of the exported network that animates `actor`."""
        return self.path / EXPORTS if self.one_folder else self.path / EXPORTS / actor

    def actor(self, name: str) -> ActorData:
        """An actor's data from the run's own copies. Raises UserError when the run does not know the actor."""
        if name not in self.spec.actors:
            raise UserError(f"actor {name!r}: training run {self.name} knows {', '.join(self.spec.actors)}")
        data = _read_actor(self.path / "actors" / name, name)
        blendshapes = {**data.blendshapes, **self.blendshapes.get(name, {})}
        return replace(data, topology=self.faces.get(name) or data.topology, blendshapes=blendshapes)

    def emotion_db(self, actor: str) -> EmotionDB:
        """The implicit emotions of an actor's shots. Raises UserError when the run was not exported."""
        path = self.export_folder(actor) / EMOTION_DB_FILE
        if not path.is_file():
            raise UserError(f"training run {self.name}: {external_path(path)} is missing; train again")
        with undamaged(self.name):
            check_file(path)
            return read_emotion_db(path)

    def config(self, kind: str) -> dict[str, Any] | None:
        """The resolved config section that the run was made with, or None when it had none of that kind."""
        return read_config_json(self.path, kind)


@contextmanager
def undamaged(run_name: str) -> Iterator[None]:
    """A file that is no longer what the run wrote becomes a UserError: it was cut short, edited or partly copied."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"training run {run_name} is damaged: {error}; copy it again or {AGAIN}") from error


def write_train_run(folder: Path, spec: NetworkSpec, preproc_runs: Mapping[str, PreprocFiles]) -> TrainRun:
    """Write the network's description and copy every actor's data into the run; returns the run.

    Raises ValueError when an actor of the spec has no preproc run.
    """
    missing = [actor for actor in spec.actors if actor not in preproc_runs]
    if missing:
        raise ValueError(f"no preproc run given for actor {', '.join(missing)}")
    for actor in spec.actors:
        _write_actor(folder / "actors" / actor, actor, preproc_runs[actor])
    write_json(folder / SPEC_FILE, asdict(spec))
    return TrainRun(folder, spec)


def load_train_run(path: Path) -> TrainRun:
    """Open a training run. Raises UserError when the folder is not one, was made by another version or lacks files."""
    require_whole(path, "training run", size_faults(path), AGAIN)
    return TrainRun(path, read_spec(path))


def read_spec(path: Path) -> NetworkSpec:
    """What network a training run holds. Raises UserError when it does not tell, or tells it as another version did."""
    file = path / SPEC_FILE
    if not file.is_file():
        raise UserError(f"{external_path(path)} is not a training run: {SPEC_FILE} is missing")
    with undamaged(path.name):
        check_file(file)
        values = read_json(file)
    known = {f.name for f in fields(NetworkSpec)}
    required = known - {"extra"}
    if not isinstance(values, dict) or required - values.keys() or values.keys() - known:
        odd = sorted(required ^ (set(values) - {"extra"})) if isinstance(values, dict) else ["not an object"]
        raise UserError(f"{external_path(file)}: made by another version (differs in {', '.join(odd)}); train again")
    actors = values["actors"]
    if not isinstance(actors, list) or not all(isinstance(a, str) and PurePath(a).name == a != ".." for a in actors):
        raise UserError(f"{external_path(file)}: actors {actors!r} are not names")
    return NetworkSpec(**values)


def float32_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays as little-endian float32 in C order, which is all that the runtime's reader understands."""
    return {name: np.require(array, dtype="<f4", requirements=["C"]) for name, array in arrays.items()}


def _write_actor(folder: Path, actor: str, preproc: PreprocFiles) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / "network_data.npz", float32_arrays(preproc.network_data))
    write_json(folder / "data_info.json", preproc.data_info)
    write_npy(folder / "mean_geometry.npy", np.asarray(preproc.mean_geometry, dtype=np.float32))
    for part, files in preproc.blendshapes.items():
        for kind, name in _blendshape_names(part, actor).items():
            with atomic(folder / name) as temporary:
                check_file(files[kind])
                shutil.copyfile(files[kind], temporary)
    if preproc.topology:
        write_topology(folder / TRIANGLES_FILE, preproc.topology)
    if preproc.curves.channels:
        write_channels(folder, preproc.curves)


def _read_actor(folder: Path, actor: str) -> ActorData:
    try:
        for name in (*ACTOR_FILES, TRIANGLES_FILE, CHANNELS_FILE):
            check_file(folder / name)
        network_data = read_npz(folder / "network_data.npz")
        data_info = read_json(folder / "data_info.json")
        mean_geometry = np.array(read_npy(folder / "mean_geometry.npy"))
        counts = _vertex_counts(folder / "data_info.json", data_info)
        topology = read_topology(folder / TRIANGLES_FILE, *counts)
        curves = read_curve_channels(folder)
    except FileNotFoundError as error:
        raise UserError(f"training run is incomplete: {external_path(error.filename)} is missing") from error
    except ValueError as error:
        raise UserError(f"training run is damaged: {error}; copy it again or {AGAIN}") from error
    blendshapes = {}
    for part in MESHES:
        files = {kind: folder / name for kind, name in _blendshape_names(part, actor).items()}
        if all(path.is_file() for path in files.values()):
            blendshapes[part] = files
            with undamaged(folder.parent.parent.name):
                for path in files.values():
                    check_file(path)
    return ActorData(actor, network_data, data_info, mean_geometry, blendshapes, topology, curves)


def _vertex_counts(path: Path, info: Any) -> list[int]:
    if not isinstance(info, dict):
        raise ValueError(f"{path}: expected an object")
    return [whole(path, info.get(f"num_verts_{mesh}"), f"num_verts_{mesh}") for mesh in MESHES]


def _blendshape_names(part: str, actor: str) -> dict[str, str]:
    return {"config": f"bs_{part}_config_{actor}.json", "data": f"bs_{part}_{actor}.npz"}
