"""What of an earlier run's weights (PRETRAINED_NET_FPATH) fits another network, and how it is carried over.

Most weights are the same in every network of a kind. Those at its edges belong to names and to meshes: columns of emotions
and actors follow their names, and coefficients are expressed in the components of the new face where its mesh has the
vertices of the old one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.config import Section
from audio2face.face.codec import kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.encoders.phoneme_ctc import MEASURED
from audio2face.models.common.inputs import Inputs
from audio2face.models.common.weights import read_weights
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.train_run import SPEC_FILE, NetworkSpec, PreprocFiles, TrainRun, deployed_codec, load_train_run

logger = logging.getLogger(__name__)

KEY = "PRETRAINED_NET_FPATH"
PER_VALUE = ("own.", "trust.")  # weights that belong to one value each
TRAINABLE_PARTS = {
    "actor": ("actor.",),
    "output": ("heads.", "last.", *PER_VALUE),
}  # of TRAINABLE -> beginnings of names
WeightAxes = dict[str, tuple[int, ChannelLayout]]  # {weight: (axis, what lies along it)}
EMOTION, ACTOR = "emotion ", "actor "  # before the name of a column
UNIT = "unit"  # what values count in, of networks that have such units


@dataclass(frozen=True)
class Source:
    """Where a part of an axis comes from: `label` of the old axis, times `factor` or `matrix` (new, old), plus `offset` (new,).

    The offset is for a bias alone. Inputs take the inverse.
    """

    label: str
    factor: float = 1.0
    matrix: Tensor | None = None
    offset: Tensor | None = None


def build_starting_weights(network: nn.Module, spec: NetworkSpec, inputs: Inputs) -> None:
    """Start from the weights of PRETRAINED_NET_FPATH, if given, as far as they fit. Raises UserError."""
    if inputs.train.PRETRAINED_NET_FPATH:
        start_from(network, spec, inputs.runs, local_path(inputs.train.PRETRAINED_NET_FPATH))


def start_from(network: Any, spec: NetworkSpec, actors: Mapping[str, PreprocFiles], path: Path) -> None:
    """Load what fits of the weights in `path` into a network; what does not stays as it is, and is logged with both shapes.

    `actors` are the data of the network's own actors. Raises UserError when it is no such file or of another method.
    """
    if path.is_dir():
        raise UserError(f"{KEY}: {external_path(path)} is a folder; set the weights.pth in it")
    if not path.is_file():
        raise UserError(f"{KEY}: {external_path(path)} does not exist")
    try:
        old = read_weights(path)
    except ValueError as error:
        raise UserError(f"{KEY}: {error}") from error
    own, run = network.state_dict(), _run_of(path, spec)
    if any(last in MEASURED and name not in old and f"{owner}.mel" in old for name, owner, last in _owners(own)):
        raise UserError(
            f"{KEY}: {external_path(path)} is of a training whose phoneme_ctc features were not yet measured on its speech, "
            "which can be deployed and run but not trained further"
        )
    own, old = _in_data_units(own, network, spec), old if run is None else _in_data_units(old, network, run.spec)
    state, notes = _matching(own, old)
    if not any(not name.startswith("encoder") for name in state):
        raise UserError(
            f"{KEY}: nothing in {external_path(path)} fits a {spec.network_name}; set weights of such a network"
        )
    if run is not None:
        _carry(network.weight_axes, state, notes, own, old, spec, actors, run)
    for name in [name for name in own if name.startswith(getattr(network, "OF_DATA", ()))]:
        state.pop(name, None)
        notes.pop(name, None)
    state = _in_data_units({**own, **state}, network, spec, power=-1)
    network.load_state_dict(state, strict=False)
    whole = sum(1 for name in own if name in old and name not in notes)
    logger.info("%s: starts from %s: %d of %d weights fit whole", KEY, external_path(path), whole, len(own))
    for line in notes.values():
        logger.warning("%s: %s", KEY, line)


def _in_data_units(state: Mapping[str, Tensor], network: Any, spec: NetworkSpec, power: int = 1) -> dict[str, Tensor]:
    """Weights of a network that works in units of its own, as of one in data units, or back with `power` -1: outputs times the
    unit of each value, inputs over it. Those of other networks as they are."""
    axes: WeightAxes = network.weight_axes(spec)
    found = dict(state)
    if UNIT not in axes or UNIT not in state:
        return found
    places = axes[UNIT][1].slices
    for name, (axis, layout) in axes.items():
        if name in state and name != UNIT and set(layout.sizes) <= set(places):
            unit = torch.cat([state[UNIT][places[label]] for label in layout.sizes])
            unit = unit.double() ** (power if axis == 0 else -power)  # there and back is the same number
            found[name] = state[name].double() * unit.view([-1 if i == axis else 1 for i in range(state[name].ndim)])
    return found


def _run_of(path: Path, spec: NetworkSpec) -> TrainRun | None:
    """The run that a file of weights lies in. Raises UserError when it is of another method."""
    if not (path.parent / SPEC_FILE).is_file():
        logger.warning(
            "%s: there is no %s beside %s: emotions and actors are taken by number, not by name",
            KEY,
            SPEC_FILE,
            path.name,
        )
        return None
    run = load_train_run(path.parent)
    if run.spec.network_type != spec.network_type:
        raise UserError(
            f"{KEY}: {external_path(path)} is a {run.spec.network_type} network, NETWORK_TYPE is {spec.network_type}"
        )
    return run


def _matching(own: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The old weights of the same name and shape, and a line for each that differs; whole missing parts are one line."""
    state, notes = {}, {}
    lacking = Counter(_part(name) for name in own if name not in old)
    left = Counter(_part(name) for name in old if name not in own and name.rpartition(".")[2] not in MEASURED)
    for name, value in own.items():
        if name not in old:
            continue
        if old[name].shape != value.shape:
            notes[name] = f"{_both_shapes(name, own, old)}: starts from scratch"
        else:
            state[name] = old[name]
    for name, owner, last in _owners(old):  # what was measured belongs to the weights that were trained on it
        if last in MEASURED and f"{owner}.mel" in own:
            state[name] = old[name]
    notes |= {part: f"{part}: {n} weights are not in the file and stay as they are" for part, n in lacking.items()}
    notes |= {f"left {part}": f"{part}: {n} weights of the file have no place here" for part, n in left.items()}
    return state, notes


def _part(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _owners(state: Mapping[str, Tensor]) -> list[tuple[str, str, str]]:
    """(name, name of the module, name in the module) of every weight."""
    return [(name, name.rpartition(".")[0], name.rpartition(".")[2]) for name in state]


def _both_shapes(name: str, own: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> str:
    return f"{name} is {tuple(old[name].shape)} in the file, {tuple(own[name].shape)} here"


def _carry(
    weight_axes: Callable[[NetworkSpec], WeightAxes],
    state: dict[str, Tensor],
    notes: dict[str, str],
    own: Mapping[str, Tensor],
    old: Mapping[str, Tensor],
    spec: NetworkSpec,
    actors: Mapping[str, PreprocFiles],
    run: TrainRun,
) -> None:
    """Put what belongs to names and meshes into `state` and `notes`, in place of what has the same shape by chance."""
    parents = _parents(spec, actors, run)
    sources = _columns(spec, run.spec, parents) | _channels(spec, actors, run, parents)
    old_axes = weight_axes(run.spec)
    if any(source.matrix is not None for source in sources.values()):
        for name in [name for name in state if name.startswith(PER_VALUE)]:
            del state[name]
            notes[name] = f"{name}: its values mean something else there: starts from scratch"
    for name, (axis, layout) in weight_axes(spec).items():
        if name not in own or name not in old or name not in old_axes:
            continue
        fresh, before = own[name].movedim(axis, 0), old[name].to(own[name]).movedim(axis, 0)
        if fresh.shape[1:] != before.shape[1:]:
            continue  # of another width altogether
        parts, afresh = [], []
        blocks = old_axes[name][1].slices
        for label, block in layout.slices.items():
            source = sources.get(label)
            if source is None or source.label not in blocks:
                afresh.append(label)
                parts.append(torch.zeros_like(fresh[block]) if label.startswith((EMOTION, ACTOR)) else fresh[block])
            else:
                parts.append(_moved(before[blocks[source.label]], source, inverse=axis == 1))
        state[name] = torch.cat(parts).movedim(0, axis).contiguous()
        notes.pop(name, None)
        shapes = _both_shapes(name, own, old)
        if len(afresh) == len(parts):
            notes[name] = f"{shapes}: starts from scratch"
        elif before.shape != fresh.shape or afresh:
            kept = f"; {', '.join(afresh)} start{'s' if len(afresh) == 1 else ''} from scratch" if afresh else ""
            notes[name] = f"{shapes}: carried over by name and mesh{kept}"
    if "emotion.bias" in state and len(spec.actors) == 1 < len(run.spec.actors):
        column = old_axes["emotion.weight"][1].slices[ACTOR + parents[spec.actors[0]]]
        state["emotion.bias"] = state["emotion.bias"] + old["emotion.weight"][:, column].sum(1)


def _moved(block: Tensor, source: Source, inverse: bool) -> Tensor:
    """Rows of an output as the new face has them or, `inverse`, columns of an input; a bias also gets the offset."""
    if source.matrix is None:
        return block / source.factor if inverse else block * source.factor
    matrix = source.matrix.to(block)
    if inverse:
        return torch.linalg.pinv(matrix, rtol=0.1).T @ block  # without directions that one of the faces hardly has
    moved = matrix @ block
    return moved if block.ndim > 1 or source.offset is None else moved + source.offset.to(block)


def columns_of(spec: NetworkSpec) -> tuple[dict[str, int], dict[str, int]]:
    """What lies along the inputs of a network's emotion and actor layers: {label: 1}."""
    return {EMOTION + name: 1 for name in spec.emotion_names}, {ACTOR + name: 1 for name in spec.actors}


def _parents(spec: NetworkSpec, actors: Mapping[str, PreprocFiles], run: TrainRun) -> dict[str, str]:
    """{actor: the old actor that it starts as}: of the same name, else the first with as many vertices, else the first."""
    found = {}
    for actor in spec.actors:
        count = actors[actor].data_info["num_verts_skin"]
        alike = [a for a in run.spec.actors if run.actor(a).data_info["num_verts_skin"] == count]
        found[actor] = actor if actor in run.spec.actors else (alike or run.spec.actors)[0]
    return found


def _columns(spec: NetworkSpec, old: NetworkSpec, parents: Mapping[str, str]) -> dict[str, Source]:
    """Emotions come from their own names, actors from their parents."""
    if spec.zero_emotion != old.zero_emotion:
        logger.warning("%s: all zeros stood for emotion %r, now for %r", KEY, old.zero_emotion, spec.zero_emotion)
    return {EMOTION + name: Source(EMOTION + name) for name in spec.emotion_names} | {
        ACTOR + name: Source(ACTOR + parent) for name, parent in parents.items()
    }


def _channels(
    spec: NetworkSpec, actors: Mapping[str, PreprocFiles], run: TrainRun, parents: Mapping[str, str]
) -> dict[str, Source]:
    """How the values of each channel come over: for an actor that both know if there is one, else for the first."""
    actor = next((name for name in spec.actors if parents[name] == name), spec.actors[0])
    new, old = deployed_codec(actors[actor]), run.actor(parents[actor]).codec
    sources = {}
    for channel, size in spec.max_sizes.items():
        before = run.spec.max_sizes.get(channel)
        if before is None:
            continue
        if kind_of(channel) == "curves":
            if size == before:
                sources[channel] = Source(channel)
            continue
        same, own, theirs = actor == parents[actor], float(new[channel].scale), float(old[channel].scale)
        # normalised values mean the same on any face, data units only on the same one
        factor = (theirs if run.spec.rescale else 1.0) / (own if spec.rescale else 1.0)
        factor *= 1.0 if same else own / theirs
        own_basis, old_basis = new[channel].basis, old[channel].basis
        if channel not in new.layout.sizes or own_basis is None or old_basis is None:
            if size == before:
                sources[channel] = Source(channel, factor=factor)
            continue
        own_shapes, old_shapes = own_basis.components, old_basis.components
        own_mean, old_mean = own_basis.mean, old_basis.mean
        if own_shapes.shape[1:] != old_shapes.shape[1:]:
            continue
        shift = (old_mean - own_mean) / (own if spec.rescale else 1.0) if same else np.zeros_like(own_mean)
        if factor == 1.0 and size == before and np.array_equal(own_shapes, old_shapes) and not shift.any():
            sources[channel] = Source(channel)
            continue
        matrix, offset = np.zeros((size, before)), np.zeros(size)
        matrix[: len(own_shapes), : len(old_shapes)] = factor * _fitted(own_shapes, old_shapes)
        offset[: len(own_shapes)] = _fitted(own_shapes, shift[None])[:, 0]
        if matrix.any():
            sources[channel] = Source(channel, matrix=torch.from_numpy(matrix), offset=torch.from_numpy(offset))
    return sources


def _fitted(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Coefficients (K, N) with which shapes (K, V, 3) come closest to others (N, V, 3)."""
    basis, targets = (array.reshape(len(array), -1).T.astype(np.float64) for array in (shapes, others))
    return np.linalg.lstsq(basis, targets, rcond=None)[0]


def build_trainable(network: nn.Module, train: Section) -> None:
    """Freeze all weights but those of the parts that TRAINABLE names, if it names any."""
    if train.TRAINABLE is None:
        return
    prefixes = tuple(prefix for part in train.TRAINABLE for prefix in TRAINABLE_PARTS[part])
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name.startswith(prefixes))
    kept = sum(p.numel() for p in network.parameters() if p.requires_grad)
    logger.info("TRAINABLE = %s: %d weights learn, all others stay", train.TRAINABLE, kept)
