"""The families of networks, by NETWORK_TYPE.

A new family is a folder with a `FAMILY` in its `__init__.py`, and a line here. Families are imported when they are asked for.
"""

from __future__ import annotations

import importlib

from audio2face.models.common.family import Family
from audio2face.problems import UserError

FAMILIES = {
    "regression": "audio2face.models.regression",
    "diffusion": "audio2face.models.diffusion",
}


def family(network_type: str) -> Family:
    """The family of a NETWORK_TYPE. Raises UserError on an unknown one."""
    if network_type not in FAMILIES:
        raise UserError(f"networks of type {network_type!r} are unknown; known: {', '.join(FAMILIES)}")
    return importlib.import_module(FAMILIES[network_type]).FAMILY
