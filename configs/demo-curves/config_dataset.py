"""The demo data set's curves alone, no mesh: the 52 weights that a phone would record, and a head that nods with stress."""

_home = "/datasets/demo/demo"

ACTOR_NAMES = ["demo"]
CACHE_FPS = {"demo": 30.0}

AUDIO_ROOT = {"demo": f"{_home}/audio"}
CURVES_ROOT = {"demo": {"arkit": f"{_home}/curves/arkit", "head": f"{_home}/curves/head"}}

SHOT_EMOTION_NAMES = ["neutral", "joy", "anger"]
