"""A regression network under training on clips that it never sees: measurements and what a preview shows.

Nothing here draws from a random source or changes a state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from audio2face.face.codec import FaceCodec, kind_of
from audio2face.geometry.regions import mouth_opening_correlation, mouth_opening_error_mm, mouth_opening_relative_error
from audio2face.models.common.preview import Coeffs, Curves
from audio2face.models.common.vertex_distances import LargestDistance, VertexDistances
from audio2face.models.regression.data import WindowData
from audio2face.models.regression.method import RegressionMethod
from audio2face.models.regression.stretches import to_device

JAW_OPEN_METRIC = "jaw_open_correlation"


def regression_validation(
    method: RegressionMethod,
    data: WindowData,
    pairs: VertexDistances | None,
    lips: LargestDistance | None,
    units_per_metre: float,
    jaw_open: int | None = None,
) -> Callable[[], dict[str, float]]:
    """Measures on the rows of `data`: mean squared error, the error of `lips`, the mouth's opening between `pairs`, the
    correlation of the weight jawOpen, which is the network's value `jaw_open`.

    The implicit emotion of a frame that was not trained on is unknown: the mean of the trained ones takes its place.
    """

    rest = cache(partial(_rest, method, pairs))

    @torch.no_grad()
    def validate() -> dict[str, float]:
        prediction = predict_rows(method, data)
        target, mask, ids = whole_targets(data)
        values = {name: float(term.value) for name, term in method.errors(prediction, target, mask).items()}
        if jaw_open is not None:
            known = mask[:, jaw_open] > 0
            sides = (x[known, jaw_open].cpu().numpy() for x in (target, prediction))
            values[JAW_OPEN_METRIC] = mouth_opening_correlation(*sides)
        mm = 1000 / units_per_metre
        if lips is not None:
            apart = lips(method.skin(prediction, ids) - method.skin(target, ids), ids)
            values["lip_vertex_error_mm"] = float(apart.mean()) * mm
        if pairs is None:
            return values
        ours, true = (_opening(method, pairs, x, ids) for x in (prediction, target))
        return {
            **values,
            "mouth_opening_correlation": mouth_opening_correlation(true.numpy(), ours.numpy()),
            "mouth_opening_error_mm": mouth_opening_error_mm(true.numpy(), ours.numpy(), mm),
            "mouth_opening_relative_error": mouth_opening_relative_error(true.numpy(), ours.numpy(), rest()),
        }

    return validate


def whole_targets(data: WindowData) -> tuple[Tensor, Tensor, Tensor]:
    """Targets and masks (n, C) of all rows of the data, and the actors (n,)."""
    values, masks, ids = (torch.cat(parts) for parts in zip(*data.targets(), strict=True))
    return values, masks, ids


@torch.no_grad()
def predict_rows(method: RegressionMethod, data: WindowData) -> Tensor:
    """The network's output (n, C) for all rows of the data, with the mean implicit emotion."""
    return torch.cat([_predict(method, data, rows) for shift, rows, _ in data.blocks() if shift == 0])


def _predict(method: RegressionMethod, data: WindowData, rows: np.ndarray) -> Tensor:
    """The network's output (n, C) for rows (n,) of the data."""
    network = method.model.network
    if data.features is not None:
        features = data.features(np.zeros_like(rows), rows)
    else:
        features = network.features(data.windows(np.zeros_like(rows), rows))
    implicit = method.model.implicit.mean(dim=0).expand(len(rows), -1)
    conditions = data.conditions.rows(to_device(data.clip_of_row[rows], data.device)).replaced(implicit=implicit)
    return network.decode(features, conditions)[0]


def _opening(method: RegressionMethod, pairs: VertexDistances, values: Tensor, actor_ids: Tensor) -> Tensor:
    """Mean opening of the lips (n,) in data units, on the CPU, of (n, C)."""
    return pairs(method.skin(values, actor_ids), actor_ids).mean(dim=1).cpu()


def _rest(method: RegressionMethod, pairs: VertexDistances | None) -> float:
    """Mean opening of the lips in what is trained on."""
    assert pairs is not None
    return float(torch.cat([_opening(method, pairs, values, ids) for values, _, ids in method.data.targets()]).mean())


def regression_coeffs(method: RegressionMethod, data: WindowData) -> tuple[np.ndarray, Coeffs]:
    """True and predicted skin coefficients (T, K) of all rows of the data."""
    target, _, ids = whole_targets(data)
    return method.skin(target, ids).cpu().numpy(), lambda: method.skin(predict_rows(method, data), ids).cpu().numpy()


def regression_curves(
    method: RegressionMethod, data: WindowData, codec: FaceCodec
) -> tuple[dict[str, np.ndarray], Curves]:
    """The same of groups of curves of an actor's `codec`: values {group: (T, K)} in data units."""
    layout = method.layout

    def values(rows: Tensor) -> dict[str, np.ndarray]:
        parts = layout.split(codec.restore(rows.cpu().numpy(), layout))
        return {name: part for name, part in parts.items() if kind_of(name) == "curves"}

    return values(whole_targets(data)[0]), lambda: values(predict_rows(method, data))
