"""The regression family: one frame of animation from one window of sound."""

from audio2face.models.common.family import Family, lazy

FAMILY = Family(
    build=lazy("audio2face.models.regression.build", "build"),
    load=lazy("audio2face.models.regression.load", "load_network"),
    kinds=frozenset({"mesh", "points", "angles"}),
    export=lazy("audio2face.models.regression.export", "export_run"),
    package=lazy("audio2face.models.regression.package", "write_package"),
)
