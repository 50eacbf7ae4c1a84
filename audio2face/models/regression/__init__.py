"""The regression family: one frame of animation from one window of sound."""

from audio2face.lazy import lazy
from audio2face.models.common.family import Family

FAMILY = Family(
    build=lazy("audio2face.models.regression.build", "build"),
    kinds=frozenset({"mesh", "points", "angles"}),
    load=lazy("audio2face.models.regression.load", "load"),
    options=lazy("audio2face.models.regression.options", "build_options"),
    actor_arrays=lazy("audio2face.models.regression.options", "actor_arrays"),
    export=lazy("audio2face.models.regression.export", "export_run"),
    package=lazy("audio2face.models.regression.package", "write_package"),
)
