"""Prints every resolved value of a project's config and its origin.

python -m runners.explain_config demo-regression
python -m runners.explain_config demo-regression train
python -m runners.explain_config demo-regression train LEARNING_RATE
python -m runners.explain_config demo-regression --json
"""

from __future__ import annotations

import argparse
import json
import pprint
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from runners.cli import answer

EXAMPLES = """
examples:
  python -m runners.explain_config demo-regression                        all files
  python -m runners.explain_config demo-regression train                  one file
  python -m runners.explain_config demo-regression train LEARNING_RATE    one key, in full, with its manual
  python -m runners.explain_config demo-regression --json                 for other programs
"""
WIDTH = 60  # longest list or dict written out in the overview
LONGEST_DICT = 12  # entries of a computed dict that are listed there

KeyPath = tuple[str, ...]
Origin = Callable[[KeyPath], str]


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status (2 for mistakes of the user)."""
    arguments = _parser().parse_args(argv)

    def program() -> int:
        print("\n".join(explain(arguments.config_name, arguments.section, arguments.key, arguments.json)))
        return 0

    return answer(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runners.explain_config",
        description="Print every resolved config value and where it comes from: `base` or file and line.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config_name", metavar="CONFIG_NAME", help="a folder of configs/ (or of A2F_CONFIGS_ROOT)")
    parser.add_argument(
        "section", metavar="SECTION", nargs="?", help="dataset, preproc, train or inference (default: all)"
    )
    parser.add_argument("key", metavar="KEY", nargs="?", help="one key, as LEARNING_RATE or AUGMENT/timeshift")
    parser.add_argument("--json", action="store_true", help="print JSON: {section: {entry: {value, origin}}}")
    return parser


def explain(config_name: str, kind: str | None, key: str | None, as_json: bool) -> list[str]:
    """The lines to print. Raises UserError when the config has mistakes, or the section or key does not exist."""
    from audio2face.config import KINDS, load_config, project_folder
    from audio2face.config.check import did_you_mean
    from audio2face.problems import UserError

    if kind is not None and kind not in KINDS:
        raise UserError(f"no section {kind!r}{did_you_mean(kind, KINDS)} (sections: {', '.join(KINDS)})")
    folder = project_folder(config_name)
    present = [name for name in KINDS if (folder / f"config_{name}.py").is_file()]
    # All files that there are, whatever is asked for: the rules between them count too.
    sections = load_config(config_name, present, optional=("inference",) if "train" in present else ())
    if kind is not None:
        if kind not in sections:
            raise UserError(f"{config_name} has no config_{kind}.py")
        sections = {kind: sections[kind]}
    if key is not None:
        section, path = sections[str(kind)], tuple(key.split("/"))
        if path[0] not in section:
            raise UserError(f"config_{kind} has no key {path[0]!r}{did_you_mean(path[0], section.values)}")
        return _one_key(section, path, as_json)
    if as_json:
        return [json.dumps({name: _as_json(section) for name, section in sections.items()}, indent=2)]
    lines: list[str] = []
    for name, section in sections.items():
        place = section.file.name if section.file else f"config_{name}.py (missing: all defaults)"
        lines += ["", place] if lines else [place]
        rows = [(path, _brief(value), section.origin(path)) for path, value in _leaves(section.values, section.origin)]
        lines += [f"  {'/'.join(path)} = {value}    # {origin}" for path, value, origin in rows]
    return lines


def _leaves(value: Any, origin: Origin | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every entry that is not a non-empty dict, with its path. With `origin`, a dict set by one line is one entry."""
    if isinstance(value, dict) and (value or not path) and not (origin and _is_computed(value, origin, path)):
        for key, item in value.items():
            yield from _leaves(item, origin, (*path, key))
    else:
        yield path, value


def _is_computed(value: dict[str, Any], origin: Origin, path: KeyPath) -> bool:
    origins = {origin((*path, key)) for key in value}
    return len(value) > LONGEST_DICT and len(origins) == 1 and origins != {"base"}


def _as_json(section: Any) -> dict[str, Any]:
    return {"/".join(path): {"value": value, "origin": section.origin(path)} for path, value in _leaves(section.values)}


def _brief(value: Any) -> str:
    text = repr(value)
    if len(text) <= WIDTH or isinstance(value, str):
        return text
    if isinstance(value, dict):
        return f"{{{len(value)} entries}}"
    return f"[{len(value)} entries]" if isinstance(value, list) else f"{text[: WIDTH - 3]}..."


def _one_key(section: Any, path: tuple[str, ...], as_json: bool) -> list[str]:
    from audio2face.config.docs import read_module_doc
    from audio2face.problems import UserError

    value: Any = section.values
    for part in path:
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"config_{section.kind}: {path[0]} has no entry {'/'.join(path[1:])!r}")
        value = value[part]
    if as_json:
        return [json.dumps({"value": value, "origin": section.origin(path)}, indent=2)]
    lines = [f"{'/'.join(path)} = {pprint.pformat(value, width=100, sort_dicts=False)}"]
    if isinstance(value, dict) and value:
        lines += [f"    {'/'.join(leaf)}: from {section.origin(leaf)}" for leaf, _ in _leaves(value, None, path)]
    else:
        lines.append(f"    from {section.origin(path)}")
    marks = {"CONDITION": "diffusion", "TOP_P": "guide"}  # keys that one method alone has
    own = next((method for key, method in marks.items() if key in section), "regression")
    method = section.values.get("NETWORK_TYPE") or own
    doc = next(doc for doc in read_module_doc(section.kind, method).keys if doc.name == path[0]).entry(path[1:])
    if doc:
        facts = [doc.text, doc.type and f"Type: {doc.type}", doc.change and f"Change: {doc.change}"]
        lines += ["", *(textwrap.fill(fact, 100) for fact in facts if fact)]
    return lines


if __name__ == "__main__":
    sys.exit(main())
