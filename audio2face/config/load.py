"""Config sections: a project's override modules merged over the base modules, checked together, then frozen.

    sections = load_config("demo-regression", ("dataset", "train"), optional=("inference",))
    sections["train"].TARGET_FPS

A project is a folder of A2F_CONFIGS_ROOT or `configs/` with config_{dataset,preproc,train,inference}.py. NETWORK_TYPE
in its config_train.py chooses between the regression and the diffusion base.

Called by `commands`; next: `config.source`, which reads a project's files, `config.check` and `config.rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audio2face import paths
from audio2face.config.base import EVERY, KINDS, NETWORK_TYPES, defaults
from audio2face.config.check import check_section, did_you_mean
from audio2face.config.rules import PROJECT_RULES, SECTION_RULES, Rule, actor_rules
from audio2face.config.source import DELETE, KeyPath, Override, label, merge, plain, problem_at, read_override, top_key
from audio2face.listing import natural_order
from audio2face.problems import Problem, UserError, Where, raise_problems


class Section:
    """The resolved keys of one config file, as read-only attributes: `section.TARGET_FPS`.

    Dicts and lists are handed out as copies, so a section never changes.
    """

    __slots__ = ("_kind", "_override", "_values")
    _kind: str
    _values: dict[str, Any]
    _override: Override | None

    def __init__(self, kind: str, values: dict[str, Any], override: Override | None = None):
        for name, value in (("_kind", kind), ("_values", values), ("_override", override)):
            object.__setattr__(self, name, value)

    @property
    def kind(self) -> str:
        """dataset, preproc, train or inference."""
        return self._kind

    @property
    def values(self) -> dict[str, Any]:
        """Every key with its resolved value."""
        return {key: _copied(value) for key, value in self._values.items()}

    @property
    def modifier(self) -> dict[str, Any]:
        """What the project's file says, before merging; deleted entries are the text "DELETE"."""
        return _without_sentinel(self._override.values) if self._override else {}

    @property
    def file(self) -> Path | None:
        """The project's file, or None when it has none of this kind."""
        return self._override.file if self._override else None

    def origin(self, path: str | KeyPath) -> str:
        """Where an entry ("AUGMENT/timeshift") comes from: "base", or the project's file and line."""
        parts = tuple(path.split("/")) if isinstance(path, str) else path
        if self._override is None or not self._override.sets(parts):
            return "base"
        line = self._override.line("/".join(parts))
        return label(self._override.file) + (f":{line}" if line else "")

    def __getattr__(self, name: str) -> Any:
        if name in Section.__slots__ or name not in self._values:
            raise AttributeError(f"config_{object.__getattribute__(self, '_kind')} has no key {name}")
        return _copied(self._values[name])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a config section is read-only; {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a config section is read-only; {name} cannot be deleted")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __reduce__(self) -> tuple[Any, ...]:
        return Section, (self._kind, self._values, self._override)

    def __repr__(self) -> str:
        return f"<config_{self._kind} of {label(self.file) if self.file else 'base'}: {len(self._values)} keys>"


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _without_sentinel(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sentinel(item) for key, item in value.items()}
    if value is DELETE:
        return "DELETE"
    return [_without_sentinel(item) for item in value] if isinstance(value, list) else value


def project_folder(config_name: str) -> Path:
    """The folder of a project, in A2F_CONFIGS_ROOT before configs/. Raises UserError when there is none."""
    if not paths.is_name(config_name):
        raise UserError(f"config name {config_name!r}: must be {paths.NAME_RULE}")
    roots = paths.configs_roots()
    for root in roots:
        if (root / config_name).is_dir():
            return root / config_name
    known = natural_order({file.parent.name for root in roots for file in root.glob("*/config_*.py")})
    hint = did_you_mean(config_name, known) or f"; known: {', '.join(known) or 'none'}"
    places = " and ".join(label(root) for root in roots)
    raise UserError(f"no config {config_name!r} in {places}{hint}")


@dataclass(frozen=True)
class _Draft:
    """A section on its way: merged values, the problems found so far, and where to say they are."""

    kind: str
    place: str
    override: Override | None
    merged: dict[str, Any]
    checked: dict[str, Any] | None
    problems: list[Problem]

    @property
    def wrong_keys(self) -> set[str]:
        return {top_key(problem) for problem in self.problems} - {""}

    def placed(self) -> list[Problem]:
        """The problems with file and line."""
        return [replace(problem, where=self._place(problem.where.key)) for problem in self.problems]

    def _place(self, key: str) -> Where:
        line = self.override.line(key) if self.override else None
        return Where(file=self.place, key=key, line=line or 0)

    def section(self) -> Section:
        assert self.checked is not None, self.problems
        return Section(self.kind, {key: self.checked[key] for key in self.merged}, self.override)


def load_config(
    config_name: str,
    kinds: Iterable[str],
    optional: Iterable[str] = (),
    *,
    network_type: str | None = None,
) -> dict[str, Section]:
    """Load the sections `kinds` of a project, and `optional` ones, which are all defaults when their file is missing.

    `network_type` is the method of config_inference when it is known from elsewhere (a training run); otherwise
    config_train.py says it. Raises one UserError with a line for every mistake in all these files.
    """
    folder = project_folder(config_name)
    may_miss = set(optional)
    wanted = tuple(dict.fromkeys([*kinds, *optional]))
    assert set(wanted) <= set(KINDS), wanted
    for base in EVERY:
        defaults(*base)  # before a file of the project can change an imported default in place
    overrides: dict[str, Override | None] = {}
    lines: list[str | Problem] = []
    for kind in wanted:
        lines += _read(folder, kind, kind not in may_miss, overrides)
    if "inference" in overrides and "train" not in wanted and network_type is None:
        lines += _read(folder, "train", "inference" not in may_miss, overrides)
    own_type, problems = _network_type(overrides)
    lines += problems
    methods = {"train": own_type, "inference": network_type or own_type}
    drafts = {}
    for kind in wanted:
        method = methods.get(kind, "regression")
        if kind in overrides and method is not None:
            place = label(folder / f"config_{kind}.py")
            drafts[kind] = _draft(kind, method, place, overrides[kind])
    _apply_rules(SECTION_RULES, drafts)
    _apply_rules(
        [*PROJECT_RULES, *actor_rules()], {kind: draft for kind, draft in drafts.items() if draft.override is not None}
    )
    lines += [problem for draft in drafts.values() for problem in draft.placed()]
    raise_problems(lines)
    return {kind: draft.section() for kind, draft in drafts.items()}


def section_from_values(kind: str, values: Mapping[str, Any], network_type: str | None = None) -> Section:
    """A section from a dict, merged over the base: a run's own config_*_full.json, or a few keys in a test.

    `network_type` defaults to the dict's NETWORK_TYPE, else "regression". Raises UserError with every mistake.
    """
    method = network_type or values.get("NETWORK_TYPE", "regression")
    place = f"config_{kind}"
    if method not in NETWORK_TYPES:
        raise UserError(f"{place}: NETWORK_TYPE: {_type_words(method)}")
    draft = _draft(kind, method, place, Override(Path(place), plain(dict(values)), {}))
    _apply_rules(SECTION_RULES, {kind: draft})
    raise_problems(draft.placed())
    return draft.section()


def _read(folder: Path, kind: str, required: bool, overrides: dict[str, Override | None]) -> list[str]:
    """Put the override of `kind` into `overrides` (None when it may be missing and is); returns what went wrong."""
    file = folder / f"config_{kind}.py"
    if not file.is_file():
        if not required:
            overrides[kind] = None
        return [f"{label(file)}: missing; copy one from an example project and edit it"] if required else []
    try:
        overrides[kind] = read_override(file)
    except UserError as error:
        return list(error.lines)
    return []


def _network_type(overrides: Mapping[str, Override | None]) -> tuple[str | None, list[str]]:
    """NETWORK_TYPE as config_train says it, or None when it is wrong or that file could not be read."""
    if "train" not in overrides:
        return None, []
    train = overrides["train"]
    method = train.values.get("NETWORK_TYPE", "regression") if train else "regression"
    if method in NETWORK_TYPES:
        return method, []
    assert train is not None
    line = train.line("NETWORK_TYPE")
    return None, [f"{label(train.file)}{f':{line}' if line else ''}: NETWORK_TYPE: {_type_words(method)}"]


def _type_words(method: Any) -> str:
    return f"must be one of {', '.join(map(repr, NETWORK_TYPES))} (it is {method!r})"


def _draft(kind: str, method: str, place: str, override: Override | None) -> _Draft:
    own = override.values if override else {}
    network = own.get("NETWORK_NAME")
    base = defaults(kind, method, network if isinstance(network, str) else None)
    merged, problems = merge(base, own)
    checked, more = check_section(kind, method, merged)
    reported = {problem.where for problem in problems}
    problems += [problem for problem in more if problem.where not in reported]
    return _Draft(kind, place, override, merged, checked, problems)


def _apply_rules(rules: Iterable[Rule], drafts: Mapping[str, _Draft]) -> None:
    """Add what the rules find to the drafts' problems. Keys that are wrong in themselves are not looked at."""
    wrong = {f"{kind}.{key}" for kind, draft in drafts.items() for key in draft.wrong_keys}
    for rule in rules:
        arguments = []
        for name in rule.keys.split():
            kind, key = name.rstrip("?").split(".")
            if kind not in drafts or key not in drafts[kind].merged or f"{kind}.{key}" in wrong:
                break
            override = drafts[kind].override
            is_set = override is not None and override.sets((key,))
            arguments.append(is_set if name.endswith("?") else drafts[kind].merged[key])
        else:
            for where, message in rule.check(*arguments):
                kind, path = where.split(".", 1)
                drafts[kind].problems.append(problem_at(path, message))
