#!/usr/bin/env python3
"""Propose the lip and lid vertex lists of an actor, and draw them for you to confirm.

They are found from the face at rest and the captured motion: what touches in the closed mouth and parts when it opens,
where the lips protrude most, what sinks in a blink. Needs SKIN_NEUTRAL_FPATH and SKIN_CACHE_ROOT; closed eyes are found
best with SKIN_EYE_CLOSE_POSE_DELTA_FPATH. Existing files are never overwritten.

    python tools/propose_vertex_lists.py demo-regression demo proposed_lists
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.config import load_config  # noqa: E402
from audio2face.dataset.caches import find_caches, sample_motion  # noqa: E402
from audio2face.dataset.files import DatasetFiles, not_fetched  # noqa: E402
from audio2face.formats.json_file import write_json  # noqa: E402
from audio2face.geometry.regions import looks_inward  # noqa: E402
from audio2face.geometry.vertex_lists import propose_lists  # noqa: E402
from audio2face.paths import atomic  # noqa: E402
from audio2face.problems import Problems, UserError, raise_problems  # noqa: E402
from audio2face.render.page import proposal_page  # noqa: E402
from tools.importer import run  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config_name", metavar="CONFIG_NAME", help="a folder of configs/ (or of A2F_CONFIGS_ROOT)")
    parser.add_argument("actor", metavar="ACTOR_NAME")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the lists and proposal.html")
    args = parser.parse_args(argv)
    return run(lambda: propose(args.config_name, args.actor, args.out))


def propose(config_name: str, actor: str, out: Path) -> list[str]:
    """Write the lists and the page; returns lines to print. Raises UserError when something needed is missing."""
    files = DatasetFiles.from_config(load_config(config_name, ("dataset",))["dataset"], actor)
    raise_problems(not_fetched(files))
    rest = files.skin_neutral()
    if rest is None or files.skin_cache_root is None:
        raise UserError(f"SKIN_NEUTRAL_FPATH: actor {actor!r} has none; a face at rest with closed lips is needed")
    problems = Problems()
    caches = find_caches(problems, files.skin_cache_root, "SKIN_CACHE_ROOT", None, "", files.skin_cache_channel)
    problems.raise_errors()
    motion = sample_motion(caches.values())
    if motion.shape[1:] != rest.shape:
        raise UserError(f"SKIN_NEUTRAL_FPATH: {len(rest)} vertices, the caches have {motion.shape[1]}")
    proposal = propose_lists(
        rest, motion, files.eye_close_pose_delta(), files.lip_open_pose_delta(), files.lip_dist_pairs()
    )
    targets = {name: out / f"{name}_vertex_list.json" for name in proposal.pairs}
    raise_problems([f"{path} already exists; choose another folder" for path in targets.values() if path.exists()])
    for name, content in proposal.lists().items():
        write_json(targets[name], content)
    triangles, page = files.skin_triangles(), out / "proposal.html"
    with atomic(page) as temporary:
        temporary.write_text(
            proposal_page(rest, proposal, f"Proposed vertex lists of {actor}", triangles), encoding="utf-8"
        )
    found = [f"SKIN_{name.upper()}_VERTEX_LIST_FPATH: {path}" for name, path in targets.items()]
    found += [f"not found: {what}" for what in proposal.missing]
    if looks_inward(rest, triangles):
        found.append("the faces look inward: if the data is mirrored, the first eye is the character's right one")
    return [*found, f"look at {page} before you use them"]


if __name__ == "__main__":
    sys.exit(main())
