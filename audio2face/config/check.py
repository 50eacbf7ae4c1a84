"""Checks the values of one config section against its schema, in words that a user can act on."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from audio2face.config.base import EVERY, HYPER_KEY, schema
from audio2face.config.kinds import TUPLE_FORMS
from audio2face.config.nested import HYPER_PARAMS, NETWORK_METHODS, Schema
from audio2face.config.source import KeyPath, problem_at, top_key
from audio2face.problems import Problem

MOST_LINES = 20  # problems listed for one key; a wrong column of CLIPS would fill screens

POST_KEY = "CONFIG"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean x?` for the nearest known word, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if not close:
        lower = {name.lower(): name for name in known}
        close = [lower[match] for match in difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)]
    return f"; did you mean {close[0]}?" if close else ""


def check_section(kind: str, method: str, values: dict[str, Any]) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Check the merged values of a section.

    Returns the values in their declared types (whole numbers where a float is meant become floats, lists where a tuple
    is meant become tuples), or None when there are problems, and the problems.
    """
    keys = schema(kind, method)
    values, of_actors = _actor_configs(keys, values)
    checked, problems = _validate(keys, values, (), kind, method)
    for actor, own in of_actors.items():
        model: Any = keys.model_fields[POST_KEY].annotation
        full, more = _validate(model, {**values[POST_KEY], **own}, (POST_KEY, actor), kind, method)
        problems += [problem for problem in more if problem.where.key.split("/")[2:3] in [[key] for key in own]]
        if checked is not None and full is not None:
            checked[POST_KEY][actor] = {key: full[key] for key in own}
    network, hyper_params = values.get("NETWORK_NAME"), values.get(HYPER_KEY)
    of_this_method = isinstance(network, str) and NETWORK_METHODS.get(network, method) == method
    if of_this_method and isinstance(hyper_params, dict):
        hyper_params, more = _check_hyper_params(str(network), hyper_params)
        problems += more
        if checked is not None:
            checked[HYPER_KEY] = hyper_params
    return (None if problems else checked), _shorten(problems)


def _actor_configs(keys: type[Schema], values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The values without the dicts inside CONFIG, and these: an actor's own values, under the actor's name."""
    config = values.get(POST_KEY)
    if POST_KEY not in keys.model_fields or not isinstance(config, dict):
        return values, {}
    of_actors = {key: own for key, own in config.items() if isinstance(own, dict)}
    common = {key: value for key, value in config.items() if key not in of_actors}
    return {**values, POST_KEY: common}, of_actors


def _check_hyper_params(network: str, values: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    if network not in HYPER_PARAMS:
        hint = did_you_mean(network, HYPER_PARAMS) or f"; known are {', '.join(sorted(HYPER_PARAMS))}"
        return values, [problem_at(("NETWORK_NAME",), f"unknown network {network!r}{hint}")]
    model = HYPER_PARAMS[network]
    known = model.model_fields
    problems = [
        problem_at((HYPER_KEY, name), f"unknown key: {network} does not take it{did_you_mean(name, known)}")
        for name in values
        if name not in known
    ]
    own = {name: value for name, value in values.items() if name in known}
    checked, more = _validate(model, own, (HYPER_KEY,), "train", NETWORK_METHODS[network])
    return {**values, **(checked or {})}, problems + more


def _validate(
    model: type[Schema], values: dict[str, Any], at: KeyPath, kind: str, method: str
) -> tuple[dict[str, Any] | None, list[Problem]]:
    try:
        return model.model_validate(values).model_dump(exclude_unset=True), []
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            path = tuple(str(part) for part in detail["loc"] if part != "[key]")
            message = _unknown_key(model, path, kind, method) if detail["type"] == "extra_forbidden" else _words(detail)
            if at + path and (at + path)[0] in TUPLE_FORMS and len(path) > 1:
                message += f"; the form is {TUPLE_FORMS[path[0]]}"
            problems.append(problem_at(at + path, message))
        return None, problems


def _words(detail: Any) -> str:
    """A pydantic error as a short statement, with the value that was found."""
    kind, limits = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing; it cannot be left out"
    statements = {
        "string_type": "must be text",
        "string_too_short": "must not be empty",
        "bool_type": "must be True or False",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a finite number",
        "dict_type": "must be a dict",
        "model_type": "must be a dict",
        "list_type": "must be a list",
        "tuple_type": "must be a tuple",
        "greater_than": "must be greater than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
        "literal_error": "must be one of {expected}",
        "too_short": "has too few entries",
        "too_long": "has too many entries",
        "value_error": "{error}",
    }
    shown = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in limits.items()}
    statement = statements[kind].format(**shown) if kind in statements else detail["msg"]
    if kind == "literal_error":
        statement += did_you_mean(str(detail["input"]), re.findall("'([^']*)'", limits["expected"]))
    return f"{statement} (it is {_brief(detail['input'])})"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown_key(model: type[Schema], path: KeyPath, kind: str, method: str) -> str:
    name, known = path[-1], _known_names(model, path[:-1])
    others = [other for other in EVERY if other != (kind, method) and name in _known_names(schema(*other), path[:-1])]
    if model is schema(kind, method) and others:
        same_file = [other for other in others if other[0] == kind]
        if same_file:
            methods = " or ".join(repr(other) for _, other in same_file)
            return f"unknown key: it exists only for NETWORK_TYPE {methods}, and this is {method!r}"
        return f"unknown key: it belongs in config_{others[0][0]}.py"
    hint = did_you_mean(name, known)
    if not hint and len(path) == 1:
        hint = "; write names of your own in lower case or with a leading underscore"
    return f"unknown key{hint}"


def _known_names(annotation: Any, path: KeyPath) -> Collection[str]:
    """The keys that a dict at `path` below a schema may have; nothing when any key may stand there."""
    annotation = _inner(annotation)
    is_schema = isinstance(annotation, type) and issubclass(annotation, Schema)
    if not path:
        return annotation.model_fields if is_schema else ()
    if is_schema:
        field = annotation.model_fields.get(path[0])
        return _known_names(field.annotation, path[1:]) if field else ()
    arguments = typing.get_args(annotation)
    return _known_names(arguments[-1], path[1:]) if arguments else ()


def _inner(annotation: Any) -> Any:
    """Without Annotated and None."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return _inner(next(item for item in typing.get_args(annotation) if item is not type(None)))
    return annotation


def _shorten(problems: list[Problem]) -> list[Problem]:
    """At most MOST_LINES problems of one key."""
    result: list[Problem] = []
    counts: dict[str, int] = {}
    for problem in problems:
        key = top_key(problem)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= MOST_LINES:
            result.append(problem)
    for key, count in counts.items():
        if count > MOST_LINES:
            result.append(problem_at((key,), f"and {count - MOST_LINES} more like these"))
    return result
