"""The diffusion family: a recurrent denoiser of whole segments of animation."""

from audio2face.models.common.family import Family, lazy

FAMILY = Family(
    build=lazy("audio2face.models.diffusion.build", "build"),
    load=lazy("audio2face.models.diffusion.load", "load_network"),
    kinds=frozenset({"mesh", "points", "angles"}),
    export=lazy("audio2face.models.diffusion.export", "export_run"),
    package=lazy("audio2face.models.diffusion.package", "write_package"),
)
