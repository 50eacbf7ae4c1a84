"""The diffusion family: a recurrent denoiser of whole segments of animation."""

from audio2face.lazy import lazy
from audio2face.models.common.family import Family

FAMILY = Family(
    build=lazy("audio2face.models.diffusion.build", "build"),
    kinds=frozenset({"mesh", "points", "angles"}),
    load=lazy("audio2face.models.diffusion.load", "load"),
    options=lazy("audio2face.models.diffusion.options", "build_options"),
    actor_arrays=lazy("audio2face.models.diffusion.options", "actor_arrays"),
    export=lazy("audio2face.models.diffusion.export", "export_run"),
    package=lazy("audio2face.models.diffusion.package", "write_package"),
)
