"""The faces of an actor's meshes: those that config_dataset names now, over those that a run keeps."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from audio2face.dataset.files import FACES, DatasetFiles
from audio2face.face.topology import Topology
from audio2face.paths import local_path
from audio2face.problems import UserError

if TYPE_CHECKING:
    from audio2face.config import Section

logger = logging.getLogger(__name__)


def build_faces(
    dataset: Section, actor: str, own: Topology, num_skin: int | None, num_tongue: int | None, run_name: str
) -> Topology:
    """The faces that config_dataset names for the meshes of a run, over those that the run keeps (`own`).

    No weight depends on them, so that they may be named or corrected after training. Faces that are not there or of
    another mesh raise UserError; when the run keeps some, those are used, with a warning (or a notice, when nothing that is
    named is there: the data set is on another machine).
    """
    paths = [local_path(value) for key in FACES if (value := getattr(dataset, key).get(actor)) is not None]
    if own and not any(path.exists() for path in paths):
        if paths:
            logger.info("actor %s: using the faces kept by run %s; %s is missing here", actor, run_name, paths[0])
        return own
    try:
        named = DatasetFiles.of_faces(dataset, actor).topology(num_skin, num_tongue, float(dataset.UNITS_PER_METRE))
    except UserError as error:
        if not own:
            raise UserError([f"run {run_name}: {line}" for line in error.lines]) from error
        for line in error.lines:
            logger.warning("%s; using the faces kept by run %s", line, run_name)
        return own
    return named.over(own)
