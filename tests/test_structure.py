"""Who may import whom, where config keys may be read, where state may live, where an accelerator may be named."""

import ast
import re
from functools import cache
from pathlib import Path

from audio2face.config.base import EVERY, defaults

PACKAGE = Path(__file__).resolve().parent.parent / "audio2face"
# Each room may import the rooms further to the right; those between commas do not import each other.
ARROWS = """commands → serving → viewer → doctor, importing, evaluation → inference → models → models.guide → models.sequence → models.regression,
models.diffusion → models.common → training → preproc → dataset → deploy → runs → render, postprocess → face → geometry, audio → formats →
config → logs → runtime → distributed → confined → machine → problems → paths, lazy, listing, respacing, types"""
GROUPS = [group.split(", ") for group in " ".join(ARROWS.split()).split(" → ")]
PLACE = {room: place for place, group in enumerate(GROUPS) for room in group}
# How README groups them for a reader.
TIERS = {
    "core": "types problems paths lazy listing respacing machine confined distributed runtime logs config formats geometry audio face "
    "postprocess runs dataset",
    "learn and run": "preproc training models inference deploy",
    "studio": "doctor importing evaluation render viewer serving",
    "the door": "commands",
}
HUBS = """training.loop inference.animate dataset.checks face.codec runs.run_dir config.load deploy.package doctor.check
viewer.server""".split()
# Arrows against the order, and between rooms that should not know each other. The list only shrinks.
ALLOWED: set[tuple[str, str]] = set()
NO_TORCH = set(
    """types problems machine confined paths lazy listing respacing logs config formats runs dataset deploy face geometry postprocess render preproc doctor
    inference importing viewer serving""".split()
)
TORCH_ALLOWED = {
    "deploy.onnx",
    "deploy.tensorrt",
    "runs.checkpoints",
}
# Names of modules whose value changes while the program runs, and why each may. The list only shrinks.
STATE = {
    "confined._readers": "the process that strangers' files are read in, started once",
    "models.diffusion.engine._drawn": "noise of a seed that several open streams share, held weakly",
    "runs.run_lock._held": "locks are held by the process, which must close each file once",
}
CHANGES = set("append extend insert add update pop popitem clear remove discard setdefault appendleft".split())
KEYS = frozenset(key for kind, method in EVERY for key in defaults(kind, method))
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


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Dotted names below audio2face that a file imports, and the first part of all others."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "audio2face":
                yield from (f"audio2face.{a.name}" for a in node.names if not a.name.startswith("__"))
            else:
                yield node.module


def arrows():
    """((room, other room), file, imported module) of every import inside the package."""
    for path in FILES:
        room = room_of(module_of(path))
        for module in imports(path):
            if module.startswith("audio2face.") and room:
                yield (room, room_of(module.removeprefix("audio2face."))), path, module


def forbidden(arrow):
    return arrow[0] != arrow[1] and PLACE[arrow[0]] >= PLACE[arrow[1]]


def config_reads(tree):
    """Config keys read as attributes in functions that are not the door (not in those around them)."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Attribute) and child.attr in KEYS and not inside:
                yield child.attr
            door = inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                door = bool(re.match(r"_?build|from_config$", child.name))
            yield from walk(child, door)

    return set(walk(tree, False))


def changing_names(tree):
    """Names at the top of a module that its functions rebind, fill or empty."""
    top = {
        name.id for node in tree.body for name in ast.walk(node) if isinstance(name, ast.Name) and name.col_offset == 0
    }
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            own = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
            own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for node in ast.walk(function):
                changed = None
                if isinstance(node, ast.Global):
                    yield from node.names
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
                    changed = node.func.value
                elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                    changed = node.value
                if isinstance(changed, ast.Name) and changed.id in top - own:
                    yield changed.id


def test_imports_go_one_way():
    found = list(arrows())
    without = {room for arrow, _, _ in found for room in arrow} - PLACE.keys()
    assert not without, "a new room needs a place in ARROWS"
    against = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for arrow, path, module in found
        if arrow not in ALLOWED and forbidden(arrow)
    ]
    assert not against, "\n".join(against)
    unneeded = ALLOWED - {arrow for arrow, _, _ in found}
    assert not unneeded, "take these out of ALLOWED"


def test_contributing_names_the_arrows():
    text = " ".join((PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert f"`{' '.join(ARROWS.split())}`" in text


def test_readme_says_what_is_where():
    """The rooms of README are those of ARROWS, each with the first sentence of its docstring."""
    assert sorted(" ".join(TIERS.values()).split()) == sorted(room for room in PLACE if "." not in room)
    lines = []
    for tier, rooms in TIERS.items():
        lines.append(f"  {tier}")
        for room in rooms.split():
            path = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
            first = ast.get_docstring(tree_of(path)).splitlines()[0]
            lines.append(f"    {room:<14}{re.split(r'[.](?: |$)', first)[0]}")
    expected = "\n".join(lines)
    assert max(map(len, lines)) <= 140, "the first sentence of a docstring is too long"
    assert expected in (PACKAGE.parent / "README.md").read_text(encoding="utf-8"), f"README needs:\n{expected}"


def test_hubs_name_who_calls_them_and_what_comes_next():
    """In the docstring of a hub stands "Called by `a` and `b`; next: `c`."; a and b import it, c exists."""
    runners = {f"runners.{path.stem}": path for path in (PACKAGE.parent / "runners").glob("*.py")}
    modules = {module_of(path): path for path in FILES} | runners
    for hub in HUBS:
        text = " ".join((ast.get_docstring(tree_of(modules[hub])) or "").split())
        told = re.search(r"Called by (.*?); next: (.*)", text)
        assert told, f'{hub}: its docstring lacks "Called by ...; next: ..."'
        callers, after = told.groups()
        facade = f"audio2face.{hub.rpartition('.')[0]}"
        for caller in re.findall(r"`([\w.]+\w)`", callers):
            files = [p for name, p in modules.items() if name == caller or name.startswith(f"{caller}.")]
            names = {module for path in files for module in imports(path)}
            assert names & {f"audio2face.{hub}", facade} or caller == "build", f"{hub}: {caller} does not call it"
        for name in re.findall(r"`([\w.]+\w)`", after):
            assert name in modules or (PACKAGE / name.replace(".", "/")).is_dir(), f"{hub}: there is no {name}"


def test_config_keys_are_read_at_the_door():
    """The door is commands, config and functions named build* or from_config."""
    found = {
        module_of(p): config_reads(tree_of(p)) for p in FILES if room_of(module_of(p)) not in ("commands", "config")
    }
    reading = {module: sorted(keys) for module, keys in found.items() if keys}
    assert not reading, "read these keys in commands or in a function named build, and pass plain arguments on"


def test_modules_hold_no_changing_state():
    found = {f"{module_of(p)}.{name}" for p in FILES for name in changing_names(tree_of(p))}
    assert not found - STATE.keys(), "pass it as a value, or give a reason in STATE"
    assert not STATE.keys() - found, "take these out of STATE"


def test_tests_mirror_the_rooms():
    folders = {p.name for p in Path(__file__).parent.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - rooms == {"fakes", "runners", "tools"}
    assert rooms - folders == {"config_base"}  # tested with config


def test_no_assertion_is_always_true():
    """A list, a tuple or a text that is not empty is true, whatever it holds."""
    shown = (
        ast.List,
        ast.ListComp,
        ast.Tuple,
        ast.Set,
        ast.Dict,
        ast.GeneratorExp,
        ast.Lambda,
        ast.JoinedStr,
        ast.Constant,
    )
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            assert not (isinstance(node, ast.Assert) and isinstance(node.test, shown)), f"{path}:{node.lineno}"


def test_the_accelerator_is_named_in_one_place():
    from_outside = "target_objects_to_cuda", "cuda_in_graphics"
    for path in FILES:
        text = path.read_text(encoding="utf-8").lower()
        for name in from_outside:
            text = text.replace(name, "")
        assert path.name == "runtime.py" or "cuda" not in text, path


def test_torch_stays_out_of_numpy_rooms():
    for path in FILES:
        module = module_of(path)
        if room_of(module) in NO_TORCH and module not in TORCH_ALLOWED:
            assert not any(name.split(".")[0] == "torch" for name in imports(path)), path


def test_folders_are_read_in_natural_order():
    """frame_2 before frame_10, wherever files are a sequence or shown to people."""
    rooms = {"formats", "dataset", "importing", "doctor", "inference", "viewer", "evaluation", "render"}
    lines = [(p.name, line) for p in FILES if room_of(module_of(p)) in rooms for line in p.read_text().splitlines()]
    assert not [found for found in lines if re.search(r"sorted\(.*\b(iterdir|glob|rglob|listdir)\(", found[1])]


def test_the_tests_that_stand_for_security_are_there():
    text = (Path(__file__).parents[1] / "docs/security.md").read_text(encoding="utf-8")
    folder, named = Path(__file__).parent, 0
    for row in text.splitlines():
        file = None
        for path, name in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", row):
            file = path or file
            assert file and f"def {name}(" in (folder / file).read_text(encoding="utf-8"), (file, name)
            named += 1
    assert named > 25


def test_the_walks_name_what_there_is():
    """Every numbered line of docs/walks.md names a file and functions or classes that are in it."""
    root, walked = PACKAGE.parent, 0
    for line in (root / "docs/walks.md").read_text(encoding="utf-8").splitlines():
        found = re.match(r"\d+\. `([\w/]+\.py)` ((?:`\w+`(?:, )?)+): ", line)
        assert found or not re.match(r"\d+\.", line), line
        if found:
            path = root / found[1] if found[1].startswith("runners/") else PACKAGE / found[1]
            defined = {n.name for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            assert set(re.findall(r"`(\w+)`", found[2])) <= defined, line
            walked += 1
    assert walked > 40
