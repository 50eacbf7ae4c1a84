"""When each phoneme of a sound is spoken: JSON [[symbol, start, end], …] in seconds, or a Praat TextGrid.

Forced aligners such as the Montreal Forced Aligner write TextGrids with a tier "phones". Symbols are IPA or ARPAbet.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.json_file import read_json

SUFFIXES = (".json", ".TextGrid", ".textgrid")
TIERS = ("phones", "phonemes", "phone", "phoneme")
BILABIAL = "mbp"


@dataclass(frozen=True)
class PhonemeTime:
    """A phoneme from `start_s` to `end_s`."""

    symbol: str
    start_s: float
    end_s: float


def find_phoneme_times(folder: Path, shot: str) -> Path | None:
    """The phoneme file of a shot in a folder; None without one."""
    return next((p for suffix in SUFFIXES if (p := folder / f"{shot}{suffix}").is_file()), None)


def read_phoneme_times(path: Path) -> list[PhonemeTime]:
    """The phonemes of a file, in order. Raises ValueError naming the path when it is malformed."""
    try:
        found = _read_rows(path) if path.suffix == ".json" else _read_textgrid(path)
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from error
    for before, item in zip([None, *found], found, strict=False):
        if not 0 <= item.start_s <= item.end_s < math.inf or (before and item.start_s < before.start_s):
            raise ValueError(f"{path}: {item.symbol!r} from {item.start_s:g} to {item.end_s:g} s is out of order")
    return found


def is_bilabial(symbol: str) -> bool:
    """Whether a phoneme closes the lips: m, b or p, whatever its length, stress or release (IPA `pʰ`, ARPAbet `B`)."""
    plain = symbol.strip().lower().lstrip("ˈˌ")
    return plain[:1] in tuple(BILABIAL) and all(unicodedata.category(c) in ("Lm", "Mn", "Sk", "Nd") for c in plain[1:])


def _read_rows(path: Path) -> list[PhonemeTime]:
    rows = read_json(path)
    try:
        return [PhonemeTime(str(symbol), float(start), float(end)) for symbol, start, end in rows]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected [[symbol, start in seconds, end in seconds], …]") from error


def _read_textgrid(path: Path) -> list[PhonemeTime]:
    refuse_pointer(path)
    text = path.read_bytes()
    content = text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    tiers = re.split(r'class\s*=\s*"IntervalTier"', content)[1:]
    for tier in tiers:
        name = re.search(r'name\s*=\s*"([^"]*)"', tier)
        if name and name[1].split(" - ")[-1].strip().lower() in TIERS:
            rows = re.findall(r'xmin\s*=\s*([\d.eE+-]+)\s*xmax\s*=\s*([\d.eE+-]+)\s*text\s*=\s*"((?:[^"]|"")*)"', tier)
            return [
                PhonemeTime(symbol.strip(), float(start), float(end)) for start, end, symbol in rows if symbol.strip()
            ]
    raise ValueError(f"{path}: no interval tier called {' or '.join(TIERS[:2])}")
