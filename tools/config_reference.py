"""Writes docs/config_details.md, the reference of every config key, from the comments in audio2face/config_base.

python tools/config_reference.py            write the page
python tools/config_reference.py --check    exit with 1 when the page is not what would be written
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.config.base import BY_METHOD, KINDS, NETWORK_TYPES  # noqa: E402
from audio2face.config.docs import KeyDoc, read_module_doc  # noqa: E402

PAGE = ROOT / "docs" / "config_details.md"

INTRO = """
<!-- Written by tools/config_reference.py from the comments in audio2face/config_base. Edit those, then run it. -->

# Config reference

A project is a folder `configs/<name>/` (or `$A2F_CONFIGS_ROOT/<name>/`, which takes precedence) with up to four files:

| file | holds | read by |
|---|---|---|
| `config_dataset.py` | where the captured data lies | preproc, train |
| `config_preproc.py` | which poses describe the actor | preproc |
| `config_train.py` | method, clips, network, losses | train, deploy |
| `config_inference.py` (optional) | post-processing, what to animate | train, deploy, inference |

Each file holds only the keys that differ from the defaults below. `NETWORK_TYPE` in `config_train.py` chooses between
the keys of regression, of diffusion and of a guide.

## How a file is read

- It is ordinary Python: it may compute, read files, and import modules of its own folder. Only names in capital letters
  are keys; write names of your own in lower case or with a leading underscore.
- Paths may be strings or `pathlib.Path`. `/datasets/…`, `/workspace/…` and `/framework/…` mean A2F_DATASETS_ROOT,
  A2F_WORKSPACE_ROOT and the checkout, in and outside the container. Tuples and lists are interchangeable, NumPy numbers
  and arrays are accepted.
- Dicts merge with their defaults entry by entry, at every depth; everything else replaces its default:

  ```python
  NETWORK_HYPER_PARAMS = {"autocorr_params": {"preemph": 0.5}}  # changes this one number and keeps all others
  ```

- To remove an inherited entry of a dict, give it the value `DELETE`:

  ```python
  from audio2face.config import DELETE

  AUGMENT = {"pitch_shift": DELETE}
  ```

- All files of a command are checked before it starts: unknown keys (with the nearest known one), types, ranges and
  rules between keys. All mistakes are reported at once:

  ```text
  configs/mine/config_train.py:12: AUGMENT/pich_shift: unknown key; did you mean pitch_shift?
  ```

- `python -m runners.explain_config <name>` prints every resolved value and where it comes from;
  `python -m runners.explain_config <name> train LEARNING_RATE` one key with its manual.

Keys written `{actor: …}` are dicts by the names in `ACTOR_NAMES`, for example
`AUDIO_ROOT = {"claire": "/datasets/claire/audio"}`.
"""


def page() -> str:
    """The whole reference as Markdown."""
    parts = [INTRO.strip(), "\n".join(f"- [config_{kind}.py](#config_{kind}py)" for kind in KINDS)]
    for kind in KINDS:
        parts.append(f"## config_{kind}.py")
        methods = NETWORK_TYPES if kind in BY_METHOD else NETWORK_TYPES[:1]
        docs = {method: read_module_doc(kind, method) for method in methods}
        parts += [doc.intro for doc in docs.values()]
        for heading, keys in _by_heading({method: doc.keys for method, doc in docs.items()}).items():
            parts.append(f"### {heading}")
            parts += [_key_text(name, variants, len(docs)) for name, variants in keys.items()]
    return "\n\n".join(parts) + "\n"


def _by_heading(docs: dict[str, tuple[KeyDoc, ...]]) -> dict[str, dict[str, dict[str, KeyDoc]]]:
    """{heading: {key: {method: doc}}}: the first method's order, what only a later one has after it in its heading."""
    order: list[str] = []
    for keys in docs.values():
        position = 0
        for heading in dict.fromkeys(key.heading for key in keys):
            if heading in order:
                position = order.index(heading) + 1
            else:
                order.insert(position, heading)
                position += 1
    result: dict[str, dict[str, dict[str, KeyDoc]]] = {heading: {} for heading in order}
    for method, keys in docs.items():
        for key in keys:
            home = next((names for names in result.values() if key.name in names), result[key.heading])
            home.setdefault(key.name, {})[method] = key
    return {heading: names for heading, names in result.items() if names}


def _key_text(name: str, variants: dict[str, KeyDoc], num_methods: int) -> str:
    only = f" ({' and '.join(variants)} only)" if len(variants) < num_methods else ""
    lines = [f"#### {name}{only}", ""]
    same = {(doc.text, doc.type, doc.change, doc.entries) for doc in variants.values()}
    if len(same) == 1:
        defaults = {method: doc.default for method, doc in variants.items()}
        lines += _body(next(iter(variants.values())), _default_text(defaults))
    else:
        for method, doc in variants.items():
            lines += [f"*{method.capitalize()}.*", ""] if len(variants) > 1 else []
            lines += [*_body(doc, _default_text({method: doc.default})), ""]
    return "\n".join(lines).rstrip()


def _default_text(defaults: dict[str, str]) -> str:
    if not any(defaults.values()):
        return ""
    if len(set(defaults.values())) == 1:
        return _code(next(iter(defaults.values())))
    return ", ".join(f"{_code(default)} ({method})" for method, default in defaults.items())


def _code(value: str) -> str:
    return f"`{' '.join(value.split())}`"


def _body(doc: KeyDoc, default: str) -> list[str]:
    lines = [doc.text]
    facts = {"Type": doc.type, "Default": default, "Change": doc.change}
    lines += ["", *(f"- **{name}:** {text}" for name, text in facts.items() if text)] if any(facts.values()) else []
    return lines + (["", *_entries(doc.entries)] if doc.entries else [])


def _entries(entries: tuple[KeyDoc, ...]) -> list[str]:
    lines = []
    for entry in entries:
        default = f" = {_code(entry.default)}" if entry.default else ""
        facts = [f"*Type:* {entry.type}"] if entry.type else []
        facts += [f"*Change:* {entry.change}"] if entry.change else []
        lines.append(f"- `{entry.name}`{default}: {' '.join([entry.text, *facts])}".rstrip(": "))
        lines += textwrap.indent("\n".join(_entries(entry.entries)), "  ").splitlines()
    return lines


def main(argv: list[str] | None = None) -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    arguments = parser.parse_args(argv)
    text = page()
    if not arguments.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is out of date: run python tools/config_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
