"""Train, deploy and run models that animate a 3D face from speech."""

from importlib import import_module
from pathlib import Path
from typing import Any


def _version() -> str:
    """The version in VERSION.md of a checkout, else of the installed package."""
    path = Path(__file__).resolve().parent.parent / "VERSION.md"
    if path.is_file():
        return path.read_text(encoding="utf-8").split()[0]
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("audio2face")
    except PackageNotFoundError:
        return "0+unknown"


__version__ = _version()


def __getattr__(name: str) -> Any:
    """What `audio2face.inference` offers, and the error it raises for mistakes, imported on first use."""
    if name == "UserError":
        return import_module("audio2face.problems").UserError
    if name in ("load_model", "Model", "Session", "Animation", "feed_together", "finish_together"):
        return getattr(import_module("audio2face.inference"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
