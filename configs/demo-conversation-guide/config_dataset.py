"""Two people who talk to each other, as in demo-conversation: each hears the own voice and the partner's, and moves face, head and body."""

_home = "/datasets/conversation"

ACTOR_NAMES = ["ada", "ben"]
CACHE_FPS = {"ada": 30.0, "ben": 30.0}

AUDIO_ROOT = {"ada": f"{_home}/ada/audio", "ben": f"{_home}/ben/audio"}
AUDIO_CHANNELS = {"ada": {"self": 0, "partner": 1}, "ben": {"self": 0, "partner": 1}}

_groups = ("arkit", "head", "body")
CURVES_ROOT = {
    "ada": {group: f"{_home}/ada/curves/{group}" for group in _groups},
    "ben": {group: f"{_home}/ben/curves/{group}" for group in _groups},
}
