"""The findings of an evaluation in words: which fault the numbers point to, and where to look. Pure Python."""

from __future__ import annotations

from collections.abc import Mapping

from audio2face.evaluation.sync import REACH_S

Pooled = Mapping[str, Mapping[str, float | None]]

LATE_FRAMES = 0.75
SMOOTH, ROUGH = 0.5, 1.5  # jerk ratios
OPEN_SHARE = 0.5  # of the mean pose's error where lips close
STILL_SHARE = 0.7  # of the truth's motion of the upper face that is missing
SMALL = 0.4  # activity ratio
FOLLOWS = 0.5  # a mouth that correlates so well is right, whatever the rest of the face is


def findings(run: Pooled, mean_pose: Pooled, fps: float) -> list[str]:
    """Findings about a run, from its and the mean pose's values over all shots; empty when nothing stands out.

    Thresholds are this module's constants; every line names the numbers it is based on.
    """
    found = []
    lip, still_lip = _of(run, "lip_vertex_error_mm"), _of(mean_pose, "lip_vertex_error_mm")
    if lip is not None and still_lip is not None and lip >= still_lip:
        found.append(
            f"Lips: no better than a still face (lip vertex error {lip:.2g} mm, mean pose {still_lip:.2g} mm). "
            "The model has not learned speech, or it is another person's face, or sound and face do not match."
        )
    correlation = _of(run, "mouth_opening_correlation")
    face, still_face = _of(run, "mean_vertex_error_mm"), _of(mean_pose, "mean_vertex_error_mm")
    if None not in (correlation, face, still_face) and correlation > FOLLOWS and face > still_face:  # type: ignore[operator]
        found.append(
            f"Face: it is {face:.2g} mm off on average, more than the mean pose ({still_face:.2g} mm), while the mouth "
            f"follows (correlation {correlation:.2g}). It is another person's face, or another neutral pose."
        )
    lag = _of(run, "lag_behind_truth_ms")
    at_the_edge = 1000 * REACH_S - 500 / fps  # a lag that was not found, but where the search ended
    if lag is not None and LATE_FRAMES <= abs(lag) * fps / 1000 and abs(lag) < at_the_edge:
        found.append(
            f"Timing: the mouth is {abs(lag):.0f} ms ({abs(lag) * fps / 1000:.1f} frames) "
            f"{'late' if lag > 0 else 'early'}. Check the sound's offset in CLIPS and the frame rate of the caches."
        )
    jerk = _of(run, "lip_jerk_ratio")
    if jerk is not None and jerk < SMOOTH:
        found.append(
            f"Motion: too smooth (lip jerk {jerk:.2g} of the truth's). Fast sounds are lost: train longer, smooth less."
        )
    if jerk is not None and jerk > ROUGH:
        found.append(
            f"Motion: it jitters (lip jerk {jerk:.2g} times the truth's). Raise LOSS_MOTION_ALPHA, or train longer."
        )
    for key, where in (
        ("lip_closure_mbp_error_mm", "on m, b and p"),
        ("lip_closure_error_mm", "where the true ones meet"),
    ):
        gap, still_gap = _of(run, key), _of(mean_pose, key)
        if gap is not None and still_gap and gap > OPEN_SHARE * still_gap:
            found.append(
                f"Closures: lips stay {gap:.2g} mm apart {where} (mean pose {still_gap:.2g} mm). "
                "Raise LOSS_LIP_DIST_ALPHA, and check that the lip vertex list lies exactly on the lips' edge."
            )
            break
    missing, all_motion = _of(run, "upper_face_dynamics_deviation"), _of(mean_pose, "upper_face_dynamics_deviation")
    if missing is not None and all_motion and missing > STILL_SHARE * all_motion:
        found.append(
            f"Upper face: {100 * missing / all_motion:.0f} % of its motion is missing. Speech says little about brows "
            "and blinks: the runtime adds blinks, and training with separate emotions adds more."
        )
    return found


def curve_findings(group: str, headline: str, run: Pooled, mean_pose: Pooled, fps: float) -> list[str]:
    """Findings about a group of curves, from a run's and the mean pose's values over all shots; `headline` is a column."""
    found = []
    error, correlation = _of(run, "relative_error"), _of(run, "headline_correlation")
    angle, still_angle = _of(run, "rotation_error_deg"), _of(mean_pose, "rotation_error_deg")
    if error is not None and error >= 1:
        told = "" if angle is None else f", {angle:.2g}° off on average, the mean pose {still_angle or 0:.2g}°"
        found.append(
            f"Curves {group}: no better than the mean pose (squared error {error:.2g} of its{told}). Much of it may not be in "
            "the sound, as where a head turns; else train longer, or check that sound and curves match."
        )
    if correlation is not None and correlation < FOLLOWS:
        found.append(f"Curves {group}: {headline} hardly follows (correlation {correlation:.2g}).")
    spread = _of(run, "activity_ratio")
    if spread is not None and spread < SMALL:
        found.append(
            f"Curves {group}: they move {100 * spread:.0f} % as far as the true ones: a mean of what could be said."
        )
    jerk = _of(run, "jerk_ratio")
    if jerk is not None and jerk > ROUGH:
        found.append(
            f"Curves {group}: they jitter (jerk {jerk:.2g} times the truth's). Raise LOSS_CURVES_MOTION_ALPHA, or train longer."
        )
    lag, at_the_edge = _of(run, "lag_behind_truth_ms"), 1000 * REACH_S - 500 / fps
    follows = correlation is not None and correlation > FOLLOWS
    if lag is not None and follows and LATE_FRAMES <= abs(lag) * fps / 1000 and abs(lag) < at_the_edge:
        found.append(
            f"Curves {group}: {headline} is {abs(lag):.0f} ms {'late' if lag > 0 else 'early'}. Check the sound's offset in "
            "CLIPS and CURVES_FPS."
        )
    return found


def _of(pooled: Pooled, key: str) -> float | None:
    return pooled[key]["value"] if key in pooled else None
