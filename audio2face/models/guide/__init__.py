"""The guide family: a codec turns keyframes into codes, a transformer draws codes to sound, one after the other."""

from audio2face.lazy import lazy
from audio2face.models.common.family import Family

FAMILY = Family(
    build=lazy("audio2face.models.guide.build", "build"),
    kinds=frozenset({"curves"}),
    options=lazy("audio2face.models.guide.options", "build_options"),
    keyframes=lazy("audio2face.models.guide.load", "load"),
    hears_partner=True,
)
