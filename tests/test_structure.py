"""Who may import whom, and where an accelerator may be named."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "audio2face"
LEVELS = [
    {"commands"},
    {"preproc", "methods", "inference", "training", "divergence", "doctor", "standalone", "importing", "viewer"},
    {"export", "data", "losses", "evaluation", "render"},
    {"artifacts", "networks", "diffusion"},
    {"formats", "geometry", "audio", "postprocess"},
    {
        "types",
        "layout",
        "config",
        "config_base",
        "respacing",
        "machine",
        "runtime",
        "paths",
        "bars",
        "listing",
        "progress",
        "processes",
        "shares",
        "weights",
        "",
    },
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
APART = [{"networks", "diffusion"}, {"preproc", "methods"}, {"preproc", "inference"}]
NO_TORCH = {
    "types",
    "layout",
    "machine",
    "listing",
    "paths",
    "config",
    "config_base",
    "respacing",
    "formats",
    "artifacts",
    "geometry",
    "postprocess",
    "render",
    "preproc",
    "doctor",
    "standalone",
    "importing",
    "viewer",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0].replace("__init__", "")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_folders_are_read_in_natural_order():
    """frame_2 before frame_10, wherever files are a sequence or shown to people."""
    rooms = ("formats", "data", "importing", "doctor", "inference", "viewer", "evaluation", "render")
    lines = [(p.name, line) for p in FILES if room_of(p) in rooms for line in p.read_text().splitlines()]
    assert not [found for found in lines if re.search(r"sorted\(.*\b(iterdir|glob|rglob|listdir)\(", found[1])]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    assert room in LEVEL, f"{room}: a new room needs a place in LEVELS"
    for module in imports(path):
        if module.split(".")[0] != "audio2face":
            continue
        other = (module.split(".") + [""])[1]
        assert LEVEL[room] <= LEVEL.get(other, len(LEVELS)), f"{path.name} imports {module}"
        assert {room, other} not in APART, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_accelerator_is_named_in_one_place(path):
    text = (
        path.read_text().lower().replace("target_objects_to_cuda", "").replace("cuda_in_graphics", "")
    )  # fixed from outside
    assert path.name == "runtime.py" or "cuda" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_stays_out_of_numpy_rooms(path):
    if room_of(path) in NO_TORCH:
        assert not any(module.split(".")[0] == "torch" for module in imports(path))
