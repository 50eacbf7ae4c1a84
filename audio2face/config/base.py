"""The base modules as data: the defaults of a config file, and what each of its keys may be, read from the annotations."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from typing import Any

from pydantic import create_model

from audio2face.config.nested import HYPER_DEFAULTS, HYPER_PARAMS, Schema

PACKAGE = "audio2face.config_base"
HYPER_KEY = "NETWORK_HYPER_PARAMS"
KINDS = ("dataset", "preproc", "train", "inference")
NETWORK_TYPES = ("regression", "diffusion", "guide")
BY_METHOD = ("train", "inference")  # of these kinds each method has a module of its own, beside what they share
EVERY = tuple((kind, method) for kind in KINDS for method in NETWORK_TYPES)


def base_module(kind: str, method: str) -> str:
    """Import name of the base module of a kind, for one of NETWORK_TYPES."""
    part = f"{kind}_{method}" if kind in BY_METHOD else kind
    return f"{PACKAGE}.config_{part}_base"


def defaults(kind: str, method: str, network: str | None = None) -> dict[str, Any]:
    """Every key of a config file with its default, in the order of the base module.

    Of NETWORK_HYPER_PARAMS those that `network` takes, or else the NETWORK_NAME of the module.
    """
    values = copy.deepcopy(_values(kind, method))
    if HYPER_KEY in values:
        network = network if network in HYPER_PARAMS else values["NETWORK_NAME"]
        given = {**values[HYPER_KEY], **HYPER_DEFAULTS.get(network, {})}
        values[HYPER_KEY] = {key: value for key, value in given.items() if key in HYPER_PARAMS[network].model_fields}
    return values


@functools.cache
def _values(kind: str, method: str) -> dict[str, Any]:
    module = importlib.import_module(base_module(kind, method))
    return copy.deepcopy({name: value for name, value in vars(module).items() if name.isupper()})


@functools.cache
def schema(kind: str, method: str) -> type[Schema]:
    """The model that checks types and ranges of a config file's keys. All are required."""
    modules = []
    if kind in BY_METHOD:  # a method may take keys of another one over
        modules = [f"{PACKAGE}.config_{kind}_common", *(base_module(kind, other) for other in NETWORK_TYPES)]
    annotations: dict[str, Any] = {}
    for name in [*modules, base_module(kind, method)]:
        annotations |= inspect.get_annotations(importlib.import_module(name))
    keys: dict[str, Any] = {key: (annotations[key], ...) for key in _values(kind, method)}
    return create_model(f"{kind}_{method}", __base__=Schema, **keys)
