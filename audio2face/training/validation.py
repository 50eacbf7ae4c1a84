"""A model under training on clips that it never sees: measuring, keeping the best weights, ending early."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audio2face.config import Section
from audio2face.paths import atomic
from audio2face.problems import UserError
from audio2face.runs.checkpoints import load_best as read_best
from audio2face.runs.checkpoints import save_best
from audio2face.training.loop import Fit
from audio2face.training.metrics import Losses
from audio2face.training.progress import listed

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"  # a line for each measurement on VALIDATION_CLIPS
BIGGER_IS_BETTER = {"mouth_opening_correlation", "jaw_open_correlation"}
Log = Callable[[int, dict[str, float], str], None]
Validate = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Validation:
    """How to measure a model under training, and which of the measurements tells its best weights."""

    measure: Validate
    metric: str


def choose_metric(chosen: str | None, measured: Sequence[str]) -> str:
    """BEST_METRIC, or the first of what is measured. Raises UserError when it is not measured."""
    if chosen is not None and chosen not in measured:
        raise UserError(
            f"BEST_METRIC = {chosen!r} is not measured here, only {', '.join(measured)}: see the warnings above"
        )
    return chosen or measured[0]


def loss_validation(loss: Callable[[Any, float], Losses], batches: Callable[[], Iterable[Any]]) -> Validate:
    """Means of a method's loss terms over `batches()`, which must be the same at every call."""

    @torch.no_grad()
    def validate() -> dict[str, float]:
        found = [loss(batch, 0.0) for batch in batches()]
        terms = {name: sum(float(x.terms[name]) for x in found) / len(found) for name in found[0].terms}
        return {**terms, "total": sum(float(x.total) for x in found) / len(found)}

    return validate


@dataclass
class EarlyStopping:
    """Measures every `period` epochs and after the last; knows which epoch was best, and after how many it is enough.

    `patience` measurements in a row without a better `metric` end the training; None: never.
    """

    validation: Validation
    folder: Path
    log: Log
    metric: str
    period: int
    patience: int | None = None
    best: float | None = None
    best_epoch: int = 0
    bad_evals: int = 0
    writing: bool = True  # one of several processes that train together writes; all measure, they may share the work

    @classmethod
    def from_config(
        cls, train: Section, validation: Validation, folder: Path, log: Log, writing: bool = True
    ) -> EarlyStopping:
        """What VALIDATION_PERIOD and EARLY_STOPPING_PATIENCE ask for."""
        return cls(
            validation,
            folder,
            log,
            validation.metric,
            train.VALIDATION_PERIOD,
            train.EARLY_STOPPING_PATIENCE,
            writing=writing,
        )

    def __call__(self, fit: Fit) -> bool:
        """After an epoch: measure when it is time. True when the training should end."""
        last = fit.epoch >= fit.settings.epochs
        if fit.epoch % self.period and not last:
            return False
        with fit.as_it_would_end():
            measured = self.validation.measure()
            values = {name: value for name, value in measured.items() if math.isfinite(value)}
            if self.metric in measured:  # a stage of the training may lack it
                self._compare(fit, values.get(self.metric))
        self._write(fit, values)
        if last or self.patience is None or self.bad_evals < self.patience:
            return False
        logger.info(
            "training ends early: no better %s in %d measurements (EARLY_STOPPING_PATIENCE); the best, %.4g, was in epoch %d",
            self.metric,
            self.bad_evals,
            self.best if self.best is not None else math.nan,
            self.best_epoch,
        )
        return True

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know: numbers only."""
        return {"best": self.best, "best_epoch": self.best_epoch, "misses": self.bad_evals}

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Restore a state that `state_dict` gave; None is that of a new training."""
        if state:
            self.best, self.best_epoch, self.bad_evals = state["best"], state["best_epoch"], state["misses"]

    def load_best(self, model: nn.Module) -> bool:
        """Put the best weights into the model; False, with a warning, when there are none."""
        saved = read_best(self.folder, model)
        if saved is None or self.best is None:
            logger.warning("EXPORT_WEIGHTS: there are no best weights, so the last weights are exported")
            return False
        model.load_state_dict(saved["model"], strict=False)  # frozen encoders are not in it
        logger.info("exporting the weights of epoch %d: %s %.4g", saved["epoch"], self.metric, saved["value"])
        return True

    def _compare(self, fit: Fit, value: float | None) -> None:
        """Within `as_it_would_end`: keep the weights when they are the best so far."""
        sign = -1 if self.metric in BIGGER_IS_BETTER else 1
        if value is None or (self.best is not None and sign * value >= sign * self.best):
            self.bad_evals += 1
            return
        self.best, self.best_epoch, self.bad_evals = value, fit.epoch, 0
        if self.writing:
            save_best(
                self.folder, fit.model, {"epoch": fit.epoch, "step": fit.step, "metric": self.metric, "value": value}
            )

    def _write(self, fit: Fit, values: dict[str, float]) -> None:
        if not self.writing:
            return
        self.log(fit.step, values, "validation")
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": fit.epoch, "step": fit.step, **values}) + "\n")
        best = " (the best so far)" if self.best_epoch == fit.epoch else ""
        logger.info("epoch %d, on VALIDATION_CLIPS: %s%s", fit.epoch, listed(values), best)


def rewind(folder: Path, step: int) -> None:
    """Drop the measurements after a step, which a training that goes on from there makes again, and half a line."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # the process was killed while it wrote this one
    with atomic(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
