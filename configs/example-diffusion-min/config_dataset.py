"""The Claire data set reduced to sound and skin, the minimum for training."""

import csv
from pathlib import Path

_claire = "/datasets/Audio2Face-3D-Dataset-v1.0.0-claire/data/claire"
_lists = Path(__file__).parent.parent / "claire"  # copy this folder too when you copy the project elsewhere

ACTOR_NAMES = ["claire"]
CACHE_FPS = {"claire": 30.0}

AUDIO_ROOT = {"claire": f"{_claire}/audio"}

SKIN_CACHE_ROOT = {"claire": f"{_claire}/cache/skin"}

SHOT_EMOTION_NAMES = [
    "neutral",
    "amazement",
    "anger",
    "cheekiness",
    "disgust",
    "fear",
    "grief",
    "joy",
    "outofbreath",
    "pain",
    "sadness",
]

# Most shots are Chinese; the language of each is in the list of clips.
with open(_lists / "claire_clips.csv", encoding="utf-8", newline="") as _file:
    SHOT_LANGUAGE_MAP = {"claire": {row["shot"]: row["language"] for row in csv.DictReader(_file)}}
