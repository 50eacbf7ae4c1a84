"""Regression on sound and skin of the Claire data set."""

import csv
from pathlib import Path

_claire = Path(__file__).parent.parent / "claire"  # copy this folder too when you copy the project elsewhere


def _rows(name):
    with open(_claire / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RUN_NAME = "example-min"
NETWORK_VERSION = "2.3"
NETWORK_TYPE = "regression"

# Paste here the name that run_preproc.py printed, or write "latest".
PREPROC_RUN_NAME_FULL = {
    "claire": "XXXXXX_XXXXXX_example",
}

CLIPS = [
    (
        "claire",
        row["shot"],
        (int(row["first_frame"]), int(row["last_frame"])),
        row["speaker"],
        row["language"],
        row["audio_file"],
        int(row["audio_offset"]),
    )
    for row in _rows("claire_clips.csv")
]

# As published: every clip is trained on, and none is held out to measure on.
VALIDATION_CLIPS = None

# A still face in silence for each emotion.
AUG_MUTED_SHOTS = [
    ("claire", (row["source_shot"], int(row["source_frame"])), int(row["length"]), row["emotion"])
    for row in _rows("claire_muted_shots.csv")
]

# Most clips are Chinese and the phoneme supervision would apply to the few English ones only.
LOSS_PHONEME_ALPHA = None
LOSS_PHONEME_MOTION_ALPHA = None

# These need vertex lists, which this project does without.
REMOVE_CLOSING_EYE = False
LOSS_LIP_DIST_ALPHA = None
