"""`run_preproc.py`: find the poses that describe an actor, express every frame in them, bundle what training needs."""

from __future__ import annotations

import logging

from audio2face.config import load_config
from audio2face.dataset.caches import decoded_bytes
from audio2face.doctor.quick import build_checked
from audio2face.paths import external_path, local_path
from audio2face.preproc.build import build_run
from audio2face.preproc.stage_cache import StageCache
from audio2face.problems import UserError
from audio2face.runs.disk import require_space
from audio2face.runs.run_dir import final_path, write_provenance, writing_run

logger = logging.getLogger(__name__)


def run(config_name: str, actor: str, cache: bool = True) -> str:
    """Preprocess `actor` of the project `config_name`; returns the full name of the run in PREPROC_OUTPUT_ROOT.

    Bases of earlier runs that were made of the same data, settings and code are taken over; not without `cache`.
    Raises UserError listing everything that is wrong with the config and the data, before any folder is made; only
    frames that are not finite are found later, and the run's folder is removed again then.
    """
    from audio2face.runtime import setup_logging

    sections = load_config(config_name, ("dataset", "preproc"))
    dataset, preproc = sections["dataset"], sections["preproc"]
    if actor not in dataset.ACTOR_NAMES:
        raise UserError(f"actor {actor!r} is not in ACTOR_NAMES of {config_name}: {', '.join(dataset.ACTOR_NAMES)}")
    setup_logging(verbose=preproc.VERBOSE)
    inputs = build_checked(sections, actor)
    root = local_path(preproc.PREPROC_OUTPUT_ROOT)
    needed = decoded_bytes([*inputs.skin.values(), *inputs.tongue.values()])
    require_space(root, needed, "decoding the caches")
    try:
        with writing_run(root, preproc.RUN_NAME, "preprocessing", needed=needed) as folder:
            setup_logging(folder / "log.log", verbose=preproc.VERBOSE)
            write_provenance(folder, sections, preproc.RUN_INFO, {"actor_info": {"actor_name": actor}})
            build_run(folder, inputs, dataset, preproc, StageCache(root, cache))
    except BaseException:
        setup_logging()
        raise
    folder = final_path(folder)
    logger.info("preprocessing run: %s", external_path(folder))
    return folder.name
