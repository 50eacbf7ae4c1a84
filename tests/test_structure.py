"""Who may import whom, where an accelerator may be named, where config keys may be read."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "audio2face"
# From left to right: a room may import the rooms to its right.
ORDER = """commands viewer doctor importing evaluation inference models models.regression models.diffusion models.common training
preproc dataset deploy runs render postprocess face geometry audio formats config logs runtime distributed machine problems
listing respacing paths types""".split()
PLACE = {room: place for place, room in enumerate(ORDER)}
# Arrows against the order, and between rooms that should not know each other. The list only shrinks.
ALLOWED: set[tuple[str, str]] = {
    ("audio", "models.common"),
    ("dataset", "preproc"),
    ("deploy", "models.diffusion"),
    ("deploy", "models.regression"),
    ("distributed", "training"),
    ("evaluation", "importing"),
    ("face", "postprocess"),
    ("importing", "doctor"),
    ("models.common", "models.diffusion"),
    ("models.common", "models.regression"),
    ("models.diffusion", "inference"),
    ("models.diffusion", "models.regression"),
    ("models.regression", "evaluation"),
    ("training", "commands"),
    ("training", "evaluation"),
    ("training", "models.common"),
    ("training", "models.diffusion"),
    ("training", "models.regression"),
    ("viewer", "commands"),
}
NO_TORCH = set(
    """types problems machine paths listing respacing logs config formats runs dataset deploy face geometry postprocess render preproc doctor
    inference importing viewer""".split()
)
TORCH_ALLOWED = {
    "deploy.onnx",
    "deploy.tensorrt",
    "inference.diffusion_job",
    "inference.regression_job",
    "runs.checkpoints",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(module):
    """The room of a dotted name below audio2face: the first part, for families the first two."""
    parts = module.split(".")
    if parts[0] == "models" and (PACKAGE / "models" / (parts + [""])[1]).is_dir() and len(parts) > 1:
        return ".".join(parts[:2])
    return "config" if parts[0] == "config_base" else parts[0]


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Dotted names below audio2face that a file imports, and the first part of all others."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "audio2face":
                yield from (f"audio2face.{a.name}" for a in node.names if not a.name.startswith("__"))
            else:
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(module_of(path))
    for module in imports(path):
        if not module.startswith("audio2face.") or not room:
            continue
        other = room_of(module.removeprefix("audio2face."))
        assert room in PLACE, f"{room}: a new room needs a place in ORDER"
        if (room, other) not in ALLOWED:
            assert other in PLACE and PLACE[room] <= PLACE[other], f"{path.name} imports {module}"
            assert {room, other} != {"models.regression", "models.diffusion"}, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_accelerator_is_named_in_one_place(path):
    text = (
        path.read_text().lower().replace("target_objects_to_cuda", "").replace("cuda_in_graphics", "")
    )  # fixed from outside
    assert path.name == "runtime.py" or "cuda" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_stays_out_of_numpy_rooms(path):
    module = module_of(path)
    if room_of(module) in NO_TORCH and module not in TORCH_ALLOWED:
        assert not any(name.split(".")[0] == "torch" for name in imports(path))


def test_folders_are_read_in_natural_order():
    """frame_2 before frame_10, wherever files are a sequence or shown to people."""
    rooms = {"formats", "dataset", "importing", "doctor", "inference", "viewer", "evaluation", "render"}
    lines = [(p.name, line) for p in FILES if room_of(module_of(p)) in rooms for line in p.read_text().splitlines()]
    assert not [found for found in lines if re.search(r"sorted\(.*\b(iterdir|glob|rglob|listdir)\(", found[1])]
