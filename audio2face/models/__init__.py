"""The families of networks, by NETWORK_TYPE, or by NETWORK_NAME where a type has several.

A new family is a folder with a `FAMILY` in its `__init__.py`, and a line here. Families are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from audio2face.models.common.family import Family
from audio2face.problems import UserError

if TYPE_CHECKING:
    from audio2face.runs.train_run import TrainRun

FAMILIES = {
    "regression": "audio2face.models.regression",
    "diffusion": "audio2face.models.diffusion",
    "diffusion_transformer": "audio2face.models.sequence",
    "guide": "audio2face.models.guide",
}


def family(network_type: str, network_name: str = "") -> Family:
    """The family of a NETWORK_TYPE and a NETWORK_NAME. Raises UserError on an unknown one."""
    module = FAMILIES.get(network_name) or FAMILIES.get(network_type)
    if module is None:
        raise UserError(f"networks of type {network_type!r} are unknown; known: {', '.join(FAMILIES)}")
    return importlib.import_module(module).FAMILY


def run_family(run: TrainRun) -> Family:
    """The family of a training run's network."""
    return family(run.spec.network_type, run.spec.network_name)
