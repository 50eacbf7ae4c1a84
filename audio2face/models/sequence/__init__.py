"""The sequence family: a transformer restores whole animations at once, around values that are given."""

from audio2face.lazy import lazy
from audio2face.models.common.family import Family

FAMILY = Family(
    build=lazy("audio2face.models.sequence.build", "build"),
    kinds=frozenset({"mesh", "points", "angles", "curves"}),
    load=lazy("audio2face.models.sequence.load", "load"),
    options=lazy("audio2face.models.sequence.options", "build_options"),
    actor_arrays=lazy("audio2face.models.diffusion.options", "actor_arrays"),
    hears_partner=True,
    takes_keys=True,
    edits=True,
)
