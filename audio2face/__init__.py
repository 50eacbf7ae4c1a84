"""Train, deploy and run models that animate a 3D face from speech."""

from pathlib import Path


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
