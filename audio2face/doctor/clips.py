"""What training is told of the shots: emotion and language of each, CLIPS, AUG_MUTED_SHOTS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from audio2face.dataset.clips import build_clips, build_muted_clips
from audio2face.dataset.shots import NEUTRAL, emotions_in, words
from audio2face.doctor.actor_data import Subject, shot_names
from audio2face.doctor.findings import ERROR, WARNING, Finding, Reporter
from audio2face.formats.sound import sound_info

OPEN_MOUTH = 0.5  # of the way from the most closed to the most open: too open for silence


def check_shots(subject: Subject) -> Iterator[Finding]:
    """Emotion and language of every shot."""
    report = Reporter(subject.actor)
    silent = [
        s.name
        for s in subject.shots
        if s.name not in subject.mapped
        and not emotions_in(s.name, subject.emotions)
        and not any(word.endswith(NEUTRAL) for word in words(s.name))  # "fastneutral" means it
    ]
    mapped = [
        s.name for s in subject.shots if s.emotion != NEUTRAL and s.emotion not in emotions_in(s.name, subject.emotions)
    ]
    if silent and len(subject.emotions) > 1:
        what = f"{len(silent)} shot(s) name no emotion and are taken as neutral: {shot_names(silent)}."
        fix = "Name it in the shot or in SHOT_EMOTION_MAP."
        yield report.warning("shots.emotion", what, fix, shot=silent[0], key="SHOT_EMOTION_MAP")
    contradicting = [n for n in mapped if emotions_in(n, subject.emotions)]
    if contradicting:
        what = f"SHOT_EMOTION_MAP contradicts the names of {shot_names(contradicting)}."
        yield report.info("shots.emotion", what, "The map counts.", shot=contradicting[0], key="SHOT_EMOTION_MAP")
    counts = Counter(shot.emotion for shot in subject.shots)
    for emotion in subject.emotions:
        if not counts[emotion]:
            what = f"No shot of {subject.actor} is acted in the emotion {emotion!r}."
            yield report.warning(
                "shots.no_emotion", what, "Remove it, or check the shots' names.", key="SHOT_EMOTION_NAMES"
            )
    spoken = Counter(subject.languages[shot.name] for shot in subject.shots)
    for shot, language in subject.languages.items():
        if not language.isalpha() or not 2 <= len(language) <= 3 or not language.islower():
            what = f"{language!r} is no language code."
            yield report.error("shots.language", what, 'Write "en", "zh", …', shot=shot, key="SHOT_LANGUAGE_MAP")
    languages = ", ".join(f"{name} {count}" for name, count in spoken.items())
    emotions = ", ".join(f"{name} {count}" for name, count in counts.items())
    yield report.info("shots.summary", f"{len(subject.shots)} shots; emotions: {emotions}; languages: {languages}.")


def check_clips(subject: Subject) -> Iterator[Finding]:
    """CLIPS and AUG_MUTED_SHOTS against the shots and sounds that there are."""
    if subject.plan is None:
        return
    report, plan = Reporter(subject.actor), subject.plan
    by_actor = {subject.actor: {shot.name: shot for shot in subject.shots}}
    roots = {subject.actor: subject.files.audio_root}
    clips, problems, warnings = build_clips(plan.rows, by_actor, roots, lambda path: sound_info(path).duration_s)
    more_s = 1 / subject.fps  # a recording cut at a frame's border may lack some samples of the last frame
    _, _, serious = build_clips(plan.rows, by_actor, roots, lambda path: sound_info(path).duration_s + more_s)
    trimmed = {line.split(":")[0] for line in serious}
    _, muted_problems = build_muted_clips(plan.muted, by_actor)
    yield from report.lines(ERROR, "clips.row", problems)
    yield from report.lines(WARNING, "clips.row", [line for line in warnings if line.split(":")[0] in trimmed])
    yield from report.lines(ERROR, "clips.muted", muted_problems)
    taken: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for index, (_, shot, (first, last), _, _, sound, _) in enumerate(plan.rows):
        where = {"shot": shot, "key": f"CLIPS[{index}]"}
        if last - first + 1 < plan.shortest_clip:
            what = f"{last - first + 1} frame(s); the shortest that training uses is {plan.shortest_clip}."
            yield report.warning("clips.short", what, "Lengthen or remove it.", **where)
        others = taken.setdefault((shot, sound), [])
        overlap = next((other for a, b, other in others if first <= b and a <= last), None)
        if overlap is not None:
            what = f"The same frames and sound as in CLIPS[{overlap}]."
            yield report.warning("clips.overlap", what, "They count twice; remove one.", **where)
        others.append((first, last, index))
    other = [row[1] for row in plan.rows if row[4] and row[4] != subject.languages.get(row[1], row[4])]
    if other:
        what = f"In {len(other)} clip(s) the language is not that of SHOT_LANGUAGE_MAP: {shot_names(other)}."
        yield report.info("clips.language", what, "CLIPS counts.", shot=other[0], key="SHOT_LANGUAGE_MAP")
    yield from _languages(report, subject, {row[4] for row in plan.rows} or set(subject.languages.values()))
    if plan.default_emotion and plan.default_emotion not in {clip.shot.emotion for clip in clips} and clips:
        what = f"No clip is acted in the default emotion {plan.default_emotion!r}."
        yield report.warning("clips.default_emotion", what, "Choose one that is.", key="DEFAULT_SHOT_EMOTION_NAME")


def _languages(report: Reporter, subject: Subject, spoken: set[str]) -> Iterator[Finding]:
    assert subject.plan is not None
    for language in subject.plan.phoneme_languages:
        if language not in spoken:
            what = f"PHONEME_FORCING_LANGS asks for {language!r}, and no clip of {subject.actor} speaks it."
            fix = f"Its clips speak {', '.join(sorted(spoken))}; correct SHOT_LANGUAGE_MAP, CLIPS or PHONEME_FORCING_LANGS."
            yield report.warning("clips.phoneme_language", what, fix, key="PHONEME_FORCING_LANGS")


def check_muted(subject: Subject, opening: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Whether the still poses of AUG_MUTED_SHOTS have closed mouths; `opening` {shot: (T,)}."""
    if subject.plan is None or not opening:
        return
    report = Reporter(subject.actor)
    for index, (_, (shot, frame), _, _) in enumerate(subject.plan.muted):
        curve = opening.get(shot)
        if curve is None or not 0 <= frame < len(curve):
            continue
        low, high = np.quantile(curve, 0.02), np.quantile(curve, 0.98)
        share = (curve[frame] - low) / max(high - low, 1e-12)
        if share > OPEN_MOUTH:
            best = int(np.argmin(curve))
            what = f"The mouth is open at frame {frame} of {shot} ({share:.0%} of its range), and this pose is to mean silence."
            yield report.warning(
                "clips.muted_open", what, f"Take frame {best}.", shot=shot, key=f"AUG_MUTED_SHOTS[{index}]"
            )
