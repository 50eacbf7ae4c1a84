"""Where an actor's groups of curves lie (CURVES_ROOT and the keys beside it), and which file is that of a shot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio2face.listing import natural_order
from audio2face.paths import local_path

if TYPE_CHECKING:
    from audio2face.config import Section

SUFFIXES = (".csv", ".npz", ".npy", ".bvh", ".json", ".txt")
MISSING = "_missing"  # after the name of a shot: indices of frames that are not there
IS_MISSING = re.compile(MISSING + r"(_(\w+_)?frames)?$")


@dataclass(frozen=True)
class CurveSource:
    """One group: its folder, and what CURVES_NAMES, CURVES_FPS and CURVES_KIND say of it."""

    name: str
    folder: Path
    columns: tuple[str, ...] | None = None
    fps: float | None = None
    kind: Mapping[str, Any] | None = None

    def shots(self) -> list[str]:
        """Names of the shots that the folder has a file of, in order."""
        if not self.folder.is_dir():
            return []
        return natural_order({p.stem for p in self.folder.iterdir() if _is_table(p)})

    def file(self, shot: str) -> Path | None:
        """The file of a shot, or None. Of several, the first by SUFFIXES."""
        return next((p for s in SUFFIXES if (p := self.folder / f"{shot}{s}").is_file()), None)

    def missing(self, shot: str) -> Path | None:
        """The list of frames that are not there, <shot>_missing.npy or with "_frames" or "_<group>_frames" at its end, or None."""
        endings = ("", "_frames", f"_{self.name}_frames")
        paths = (self.folder / f"{shot}{MISSING}{ending}.npy" for ending in endings)
        return next((path for path in paths if path.is_file()), None)


def build_curve_sources(dataset: Section, actor: str) -> dict[str, CurveSource]:
    """The groups of an actor by name, in the order of CURVES_ROOT."""
    keys = dataset.CURVES_NAMES, dataset.CURVES_FPS, dataset.CURVES_KIND
    names, rates, kinds = (values.get(actor, {}) for values in keys)
    return {
        group: CurveSource(
            group,
            local_path(folder),
            tuple(names[group]) if group in names else None,
            float(rates[group]) if group in rates else None,
            {"kind": kinds[group]} if isinstance(kinds.get(group), str) else kinds.get(group),
        )
        for group, folder in dataset.CURVES_ROOT.get(actor, {}).items()
    }


def shots_of(sources: Iterable[CurveSource]) -> list[str]:
    """Names of the shots that any of the groups has, in order."""
    return natural_order({shot for source in sources for shot in source.shots()})


def _is_table(path: Path) -> bool:
    hidden = path.name.startswith(".") or IS_MISSING.search(path.stem)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()
