"""What of a project's config has changed since its preprocessing run was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.formats.json_file import read_json

# Keys of the data set that training reads for itself, and keys that say how preprocessing runs, not what it finds.
READ_BY_TRAINING = {
    "ACTOR_NAMES",
    "AUDIO_ROOT",
    "AUDIO_CHANNELS",
    "PARTNER_AUDIO_ROOT",
    "PARTNER_AUDIO_OFFSETS",
    "PHONEME_ROOT",
    "SKIN_LIP_DIST_VERTEX_LIST_FPATH",
    "SKIN_LIP_SIZE_VERTEX_LIST_FPATH",
    "SKIN_EYE_DIST_VERTEX_LIST_FPATH",
    "JAW_ANIM_DATA_FPATH",
    "EYE_ANIM_DATA_FPATH",
    "SHOT_LANGUAGE_MAP",
    "SKIP_DATA_CHECKS",
}
READ_AFTER_TRAINING = {
    "SKIN_TRIANGLES_FPATH",
    "TONGUE_TRIANGLES_FPATH",
    "BLENDSHAPE_SKIN_FPATH",
    "BLENDSHAPE_SKIN_CONFIG_FPATH",
    "BLENDSHAPE_TONGUE_FPATH",
    "BLENDSHAPE_TONGUE_CONFIG_FPATH",
}
WITHOUT_EFFECT = {"RUN_NAME", "RUN_INFO", "PREPROC_OUTPUT_ROOT", "VERBOSE", "PREPROC_MEMORY_GB"}


def changed_keys(folder: Path, actor: str, dataset: Section, preproc: Section | None) -> list[str]:
    """Keys whose value for `actor` is not that of the run in `folder`, and bears on what the run holds.

    `preproc` None, or without a file, is not compared; neither is what the run does not record.
    """
    changed = _changed(
        folder / "configs/config_dataset_full.json", actor, dataset, READ_BY_TRAINING | READ_AFTER_TRAINING
    )
    if preproc is not None and preproc.file is not None:
        changed += _changed(folder / "configs/config_preproc_full.json", actor, preproc, WITHOUT_EFFECT)
    return changed


def _changed(path: Path, actor: str, section: Section, ignored: set[str]) -> list[str]:
    try:
        before = read_json(path)
    except (OSError, ValueError):
        return []
    now = json.loads(json.dumps(section.values, default=str))
    return [
        key for key in now if key in before and key not in ignored and _of(now[key], actor) != _of(before[key], actor)
    ]


def _of(value: Any, actor: str) -> Any:
    """An actor's share of a value: its entry where entries are actors', its rows of SHOT_EMOTION_MAP."""
    if isinstance(value, dict):
        return value.get(actor)
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        return [row for row in value if row[:1] == [actor]]
    return value
