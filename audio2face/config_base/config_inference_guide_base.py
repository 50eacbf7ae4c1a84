"""config_inference.py for a guide: what `run_inference.py` draws keyframes to, and how."""

from audio2face.config.kinds import Count, EmotionOrTimeline, Name, NotNegative, Seed, Share

# Keys that are imported below are those of other methods, too: their manual and default stand in config_inference_common.py
# and config_inference_diffusion_base.py.

## What is animated

from audio2face.config_base.config_inference_common import AUDIO_PATH
from audio2face.config_base.config_inference_diffusion_base import PARTNER_AUDIO_PATH, SWAP_ROLES

# Actor whose keyframes are drawn.
# Type: one of ACTOR_NAMES; None when the model has only one.
# Change: for models of several actors.
ACTOR_NAME: Name | None = None

# Emotion, for the whole sound or over time.
# Type: an emotion of the model; {emotion: weight}; a list of one number per emotion of the model, in its order; a timeline
#   [(seconds, {emotion: weight}), …], interpolated; or None for the default emotion.
# Change: to the mood of the speech.
EMOTION_LABEL: EmotionOrTimeline = None

# Takes of the same sound, each with a seed of its own.
# Type: whole number >= 1.
# Change: to choose the best of several.
NUM_SAMPLES: Count = 1

## Guide

# Codes are drawn from the likeliest ones that together are as likely as this.
# Type: number, 0 < x <= 1; 1 draws from all codes.
# Change: lower for calmer, more usual keyframes; 1 for all that occurs.
TOP_P: Share = 0.94

# How even the chances of codes are made before one is drawn: below 1 the likely ones become likelier.
# Type: number >= 0; 0 always takes the likeliest code.
# Change: as TOP_P.
TEMPERATURE: NotNegative = 1.0

# Seed of the first take; take n has the seed that is n - 1 larger.
# Type: whole number >= 0.
# Change: for other takes.
RNG_SEED_INFERENCE: Seed = 42

## Output

from audio2face.config_base.config_inference_common import INFERENCE_OUTPUT_ROOT
