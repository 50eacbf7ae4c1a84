"""The data set doctor: finds what is wrong with an actor's data before hours are spent on it.

findings = quick_check(sections, ["claire"])     seconds: names, headers, small arrays, a few frames, CLIPS
reports = full_check(sections, ["claire"])       reads everything: frames, sounds, and whether they run together
"""

from audio2face.doctor.check import ActorReport, full_check, quick_check, report_faults
from audio2face.doctor.findings import Finding, Where, by_level, raise_errors, worst_first

__all__ = [
    "ActorReport",
    "Finding",
    "Where",
    "by_level",
    "full_check",
    "quick_check",
    "raise_errors",
    "report_faults",
    "worst_first",
]
