"""Checks of what training is given with the shots: emotion and language of each, CLIPS, AUG_MUTED_SHOTS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audio2face.dataset.captured import CapturedActor
from audio2face.dataset.clips import build_clips, build_muted_clips
from audio2face.dataset.shots import NEUTRAL, emotions_in, words
from audio2face.formats.sound import sound_info
from audio2face.listing import shortened
from audio2face.problems import Problems

OPEN_MOUTH = 0.5  # of the way from the most closed to the most open: too open for silence


def check_shots(report: Problems, data: CapturedActor) -> None:
    """Emotion and language of every shot."""
    silent = [
        s.name
        for s in data.shots
        if s.name not in data.mapped
        and not emotions_in(s.name, data.emotions)
        and not any(word.endswith(NEUTRAL) for word in words(s.name))  # "fastneutral" means it
    ]
    mapped = [
        s.name for s in data.shots if s.emotion != NEUTRAL and s.emotion not in emotions_in(s.name, data.emotions)
    ]
    if silent and len(data.emotions) > 1:
        what = f"{len(silent)} shot(s) name no emotion and are taken as neutral: {shortened(silent)}."
        fix = "Name it in the shot or in SHOT_EMOTION_MAP."
        report.warning("shots.emotion", what, fix, shot=silent[0], key="SHOT_EMOTION_MAP")
    contradicting = [n for n in mapped if emotions_in(n, data.emotions)]
    if contradicting:
        what = f"SHOT_EMOTION_MAP contradicts the names of {shortened(contradicting)}."
        report.info("shots.emotion", what, "The map applies.", shot=contradicting[0], key="SHOT_EMOTION_MAP")
    counts = Counter(shot.emotion for shot in data.shots)
    for emotion in data.emotions:
        if not counts[emotion]:
            what = f"No shot of {data.actor} is acted in the emotion {emotion!r}."
            report.warning("shots.no_emotion", what, "Remove it, or check the shots' names.", key="SHOT_EMOTION_NAMES")
    spoken = Counter(data.languages[shot.name] for shot in data.shots)
    for shot, language in data.languages.items():
        if not language.isalpha() or not 2 <= len(language) <= 3 or not language.islower():
            what = f"{language!r} is not a language code."
            report.error("shots.language", what, 'Write "en", "zh", …', shot=shot, key="SHOT_LANGUAGE_MAP")
    languages = ", ".join(f"{name} {count}" for name, count in spoken.items())
    emotions = ", ".join(f"{name} {count}" for name, count in counts.items())
    report.info("shots.summary", f"{len(data.shots)} shots; emotions: {emotions}; languages: {languages}.")


def check_clip_rows(report: Problems, data: CapturedActor) -> None:
    """Every row of CLIPS and AUG_MUTED_SHOTS against the shots and sounds that there are."""
    if data.plan is None:
        return
    by_actor = {data.actor: {shot.name: shot for shot in data.shots}}
    roots = {data.actor: data.files.audio_root}
    lengths = {sound.path: sound.info.duration_s for sound in data.sounds}

    def duration(path: Path) -> float:
        return lengths[path] if path in lengths else sound_info(path).duration_s

    rows, serious = Problems(data.actor, "clips.row"), Problems()
    build_clips(rows, data.plan.rows, by_actor, roots, duration)
    more_s = 1 / data.fps  # a recording cut at a frame's border may lack some samples of the last frame
    build_clips(serious, data.plan.rows, by_actor, roots, lambda path: duration(path) + more_s)
    trimmed = {problem.where for problem in serious.warnings}
    report.extend(rows.errors)
    report.extend(problem for problem in rows.warnings if problem.where in trimmed)
    muted = Problems(data.actor, "clips.muted")
    build_muted_clips(muted, data.plan.muted, by_actor)
    report.extend(muted)


def check_clips(report: Problems, data: CapturedActor) -> None:
    """CLIPS together: short ones, frames that count twice, languages and emotions."""
    if data.plan is None:
        return
    plan = data.plan
    taken: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for index, (_, shot, (first, last), _, _, sound, _) in enumerate(plan.rows):
        where = {"shot": shot, "key": f"CLIPS[{index}]"}
        if last - first + 1 < plan.shortest_clip:
            what = f"{last - first + 1} frame(s); the shortest that training uses is {plan.shortest_clip}."
            report.warning("clips.short", what, "Lengthen or remove it.", **where)
        others = taken.setdefault((shot, sound), [])
        overlap = next((other for a, b, other in others if first <= b and a <= last), None)
        if overlap is not None:
            what = f"The same frames and sound as in CLIPS[{overlap}]."
            report.warning("clips.overlap", what, "They are trained on twice; remove one.", **where)
        others.append((first, last, index))
    other = [row[1] for row in plan.rows if row[4] and row[4] != data.languages.get(row[1], row[4])]
    if other:
        what = f"In {len(other)} clip(s) the language is not that of SHOT_LANGUAGE_MAP: {shortened(other)}."
        report.info("clips.language", what, "CLIPS counts.", shot=other[0], key="SHOT_LANGUAGE_MAP")
    _languages(report, data, {row[4] for row in plan.rows} or set(data.languages.values()))
    used = {row[1] for row in plan.rows}
    emotions = {shot.emotion for shot in data.shots if shot.name in used}
    if plan.default_emotion and emotions and plan.default_emotion not in emotions:
        what = f"No clip is acted in the default emotion {plan.default_emotion!r}."
        report.warning("clips.default_emotion", what, "Choose one that is.", key="DEFAULT_SHOT_EMOTION_NAME")


def _languages(report: Problems, data: CapturedActor, spoken: set[str]) -> None:
    assert data.plan is not None
    for language in data.plan.phoneme_languages:
        if language not in spoken:
            what = f"PHONEME_FORCING_LANGS asks for {language!r}, and no clip of {data.actor} speaks it."
            fix = f"Its clips speak {', '.join(sorted(spoken))}; correct SHOT_LANGUAGE_MAP, CLIPS or PHONEME_FORCING_LANGS."
            report.warning("clips.phoneme_language", what, fix, key="PHONEME_FORCING_LANGS")


def check_muted_poses(report: Problems, data: CapturedActor, opening: Mapping[str, np.ndarray]) -> None:
    """Whether the still poses of AUG_MUTED_SHOTS have closed mouths; `opening` {shot: (T,)}."""
    if data.plan is None or not opening:
        return
    for index, (_, (shot, frame), _, _) in enumerate(data.plan.muted):
        curve = opening.get(shot)
        if curve is None or not 0 <= frame < len(curve):
            continue
        low, high = np.quantile(curve, 0.02), np.quantile(curve, 0.98)
        share = (curve[frame] - low) / max(high - low, 1e-12)
        if share > OPEN_MOUTH:
            best = int(np.argmin(curve))
            what = f"The mouth is open at frame {frame} of {shot} ({share:.0%} of its range), but this pose stands for silence."
            report.warning("clips.muted_open", what, f"Take frame {best}.", shot=shot, key=f"AUG_MUTED_SHOTS[{index}]")
