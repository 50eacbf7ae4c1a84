"""The quick part of the doctor, with which preprocessing begins: headers, names, small arrays, a few frames of every shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audio2face.dataset.captured import CapturedActor, listed_vertices, readable
from audio2face.dataset.checks import build_captured
from audio2face.dataset.clip_checks import check_clip_rows
from audio2face.dataset.quick_check import accept, check_headers, report_problems, worst_first
from audio2face.doctor.caches import check_numbers, check_short_shots
from audio2face.doctor.consistency import check_consistency
from audio2face.doctor.files import check_files
from audio2face.doctor.geometry import check_geometry
from audio2face.doctor.stats import combine, frames_to_sample, sample_cache
from audio2face.doctor.vertex_lists import check_vertex_lists
from audio2face.problems import Problem, Problems

if TYPE_CHECKING:
    from audio2face.config import Section


def quick_check(sections: Mapping[str, Section], actors: Sequence[str]) -> list[Problem]:
    """What can be seen of each actor's data in seconds: names, headers, small arrays, a few frames, CLIPS.

    `sections` are config sections by kind: "dataset", and "preproc" and "train" if there are any. Nothing is raised for
    faults in the data.
    """
    return worst_first(problem for actor in actors for problem in _build_quick(sections, actor)[1])


def build_checked(sections: Mapping[str, Section], actor: str) -> CapturedActor:
    """The data of an actor, ready to be preprocessed. Warnings are logged; raises UserError with every error."""
    data, found = _build_quick(sections, actor)
    report_problems(found)
    assert data is not None
    return data


def check_small(report: Problems, data: CapturedActor) -> None:
    """All that reads no frames: names of files, headers, small arrays, CLIPS."""
    check_files(report, data)
    check_short_shots(report, data)
    check_headers(report, data)
    check_clip_rows(report, data)


def _build_quick(sections: Mapping[str, Section], actor: str) -> tuple[CapturedActor | None, list[Problem]]:
    data, report = build_captured(sections, actor)
    if data is not None:
        check_small(report, data)
        _check_sampled(report, data)
    return data, accept(report, sections["dataset"].SKIP_DATA_CHECKS)


def _check_sampled(report: Problems, data: CapturedActor) -> None:
    """A few frames of every shot's skin, if there is one."""
    if not data.skin:
        return
    vertices = listed_vertices(data.pairs)
    count = frames_to_sample(len(data.skin))
    sampled = {shot: readable(sample_cache, cache, vertices, count) for shot, cache in data.skin.items()}
    stats = {shot: found for shot, found in sampled.items() if found is not None}
    check_numbers(report, data.skin_mesh, stats)
    good = {shot: found for shot, found in stats.items() if found.num_frames > len(found.bad_frames)}
    if good:
        odd = check_consistency(report, data, good)
        together = combine(found for shot, found in good.items() if shot not in odd)
        check_geometry(report, data, together)
        check_vertex_lists(report, data, together, vertices, together.picked)
