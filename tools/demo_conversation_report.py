#!/usr/bin/env python3
"""Let the newest model of a demo conversation play both sides of dialogues that it does not know, and compare with the truth.

Each side is animated with the partner's sound, without it, and with the partner of other dialogues: only with the right one can
a listener nod when the truth does. Prints the figures and writes them to OUT/<CONFIG>.json, a film of both people to
OUT/<CONFIG>.mp4, and moments of it, the truth above the model, to OUT/<CONFIG>.png.

    python tools/demo_conversation_report.py demo-conversation --guide demo-conversation-guide --out demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face import runtime  # noqa: E402
from audio2face.commands.find_run import find_training_run, post_configs  # noqa: E402
from audio2face.config import Section, load_config  # noqa: E402
from audio2face.formats.json_file import write_json  # noqa: E402
from audio2face.formats.sound import read_sound  # noqa: E402
from audio2face.inference.animate import Animator, Speaker, load_animator  # noqa: E402
from audio2face.inference.guides import Guide, build_guide, check_guide, open_guide  # noqa: E402
from audio2face.inference.job import build_options  # noqa: E402
from audio2face.inference.keys import given_keys  # noqa: E402
from audio2face.inference.package import run_actor  # noqa: E402
from audio2face.inference.talks import Talk  # noqa: E402
from audio2face.paths import local_path  # noqa: E402
from audio2face.problems import UserError  # noqa: E402
from audio2face.render import contact_sheet  # noqa: E402
from audio2face.render.curves_film import curves_film, draw_takes  # noqa: E402
from audio2face.runs.run_dir import LATEST  # noqa: E402
from audio2face.runs.train_run import TrainRun  # noqa: E402
from audio2face.types import Track  # noqa: E402
from runners.cli import answer  # noqa: E402
from tools.demo.conversation_report import (  # noqa: E402
    Motion,
    Side,
    body_figures,
    error_figures,
    listening_figures,
    mean_pose,
    motion_of,
    mouth_figures,
    read_sides,
)

OWN, PARTNER = 0, 1  # channels of the data set's sounds
TAKES = 2  # of every side, with noise of their own
KNOWN = 6  # dialogues of the training that the mean pose and further strangers are from
STRANGERS = 3  # partners of other dialogues that every side is played with
SIZE, SMALL, MOMENTS = (320, 360), (200, 220), 8  # pictures of the film, of the sheet, and how many moments it shows


@dataclass(frozen=True)
class Player:
    """A model that plays people: a network, and a guide that tells it poses to move through, if there is one."""

    animator: Animator
    run: TrainRun
    guide: Guide | None = None

    def play(self, side: Side, partner: Path | None, take: int = 0) -> Motion:
        """One side of a dialogue, with the partner's sound of a file (None: nobody is there)."""
        animator, codec = self.animator, self.animator.actors[side.person].codec
        track = None if partner is None else Track(partner, PARTNER)
        talk = Talk(side.dialogue, side.person, Track(side.sound, OWN), track)
        sound = animator.load_sound(talk.own.path, talk.own.channel)
        speaker = Speaker(side.person, None, take, animator.load_partner(talk.partner))
        given = None
        if self.guide is not None:
            trained = self.run.spec.output_codec(self.run.actor(side.person))
            keys = self.guide.keys(self.guide.hear(talk, None), take, trained)
            given = given_keys(keys, self.run, side.person, animator.num_frames(sound))
        made = animator.animate(sound, speaker, given=given)
        return motion_of(made.animation.channels, codec.groups).at(slice(len(side.truth.head)))


def report(config_name: str, run_name: str, guide: str | None, out: Path) -> int:
    """Animate, compare, print and draw; returns 0. Raises UserError when something is missing."""
    sections = load_config(config_name, ("dataset", "train"), optional=("inference",))
    dataset, person = sections["dataset"], sections["dataset"].ACTOR_NAMES[0]
    home, fps = local_path(dataset.AUDIO_ROOT[person]).parent.parent, float(dataset.CACHE_FPS[person])
    sides, others = read_sides(home, fps), read_sides(home, fps, held_out=False, most=KNOWN)
    player, guided = open_players(config_name, run_name, sections["train"], guide)
    played = {
        "with partner": [[player.play(side, side.sound, take) for side in sides] for take in range(TAKES)],
        "without": [[player.play(side, None, take) for side in sides] for take in range(TAKES)],
        "another partner": strangers(player, sides, [*sides, *others]),
    }
    if guided is not None:
        played["guided"] = [[guided.play(side, side.sound, take) for side in sides] for take in range(TAKES)]
    found: dict[str, Any] = {"dialogues": sorted({side.dialogue for side in sides})}
    found["truth"] = figures(sides, [[side.truth for side in sides]], fps)
    found |= {name: figures(sides, takes, fps) for name, takes in played.items()}
    found["mean pose"] = error_figures(sides, [mean_pose(others, side) for side in sides])
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"{config_name}.json", found)
    print("\n".join(tell(found)))
    for path in draw(out, config_name, sides, played.get("guided", played["with partner"])[0], fps):
        print(f"  {path}")
    return 0


def open_players(config_name: str, run_name: str, train: Section, guide: str | None) -> tuple[Player, Player | None]:
    """A training run, all of whose actors can be animated; and the same with the newest run of the project `guide`."""
    run = find_training_run(config_name, run_name, train)
    section = load_config(config_name, (), optional=("inference",), network_type=run.spec.network_type)["inference"]
    configs, options, device = post_configs(section, run), build_options(section, run), runtime.start().device
    actors = {name: run_actor(run, name, configs[name], rigs=False) for name in run.spec.actors}
    player = Player(load_animator(run, actors, options, device), run)
    if not player.animator.hears_partner:
        raise UserError(f"{run.name} hears no partner: train it with AUDIO_CHANNELS in config_dataset.py")
    if guide is None:
        return player, None
    guide_run = find_training_run(guide, LATEST, load_config(guide, ("train",))["train"])
    check_guide(guide_run, {name: run.spec.output_codec(run.actor(name)) for name in actors}, None)
    return player, replace(player, guide=open_guide(build_guide(guide_run, options.seed), device))


def strangers(player: Player, sides: Sequence[Side], every: Sequence[Side]) -> list[list[Motion]]:
    """Every side played with STRANGERS partners of other dialogues, whose words have nothing to do with it."""
    heard = [
        [other.sound for other in every if other.person == side.person and other.dialogue != side.dialogue]
        for side in sides
    ]
    return [[player.play(side, sounds[i]) for side, sounds in zip(sides, heard, strict=True)] for i in range(STRANGERS)]


def figures(sides: Sequence[Side], takes: Sequence[Sequence[Motion]], fps: float) -> dict[str, float]:
    """The mean over takes of every figure."""
    found = [
        {**listening_figures(sides, take, fps), **error_figures(sides, take), **mouth_figures(sides, take)}
        for take in takes
    ]
    means = {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}
    return {**means, **body_figures(sides, takes)}


ROWS = {
    "nods_follow_accents": "nods follow the partner's accents (correlation)",
    "head_error_degrees": "head while listening, error in degrees",
    "towards_partner_listening_degrees": "turned to the partner while listening, degrees",
    "towards_partner_speaking_degrees": "turned to the partner while speaking, degrees",
    "face_weights": "face, mean error of a weight",
    "head_degrees": "head, mean error in degrees",
    "body_cm": "body, mean error of a joint in cm",
    "body_frechet_places": "body, Fréchet distance of places, cm²",
    "body_frechet_speeds": "body, Fréchet distance of speeds",
    "body_between_takes_cm": "body, a joint differs between takes by cm",
    "mouth_at_rest_share": "lips at rest while only the partner speaks",
    "mouth_opening_speaking_mm": "lips apart while speaking, mm",
}
SYSTEMS = ("truth", "with partner", "without", "another partner", "guided", "mean pose")


def tell(found: dict[str, Any]) -> list[str]:
    """The figures as a table."""
    lines = [f"dialogues that were not trained on: {', '.join(found['dialogues'])}"]
    lines.append(" " * 52 + "".join(f"{system:>16}" for system in SYSTEMS if system in found))
    for key, title in ROWS.items():
        values = [f"{found[system][key]:.3f}" if key in found[system] else "" for system in SYSTEMS if system in found]
        lines.append(f"  {title:<50}" + "".join(f"{value:>16}" for value in values))
    return lines


def draw(out: Path, name: str, sides: Sequence[Side], made: Sequence[Motion], fps: float) -> list[Path]:
    """A film of both people in the first dialogue as the model plays them, and moments of it, the truth above the model."""
    film, sheet = out / f"{name}.mp4", out / f"{name}.png"
    chosen = [i for i, side in enumerate(sides) if side.dialogue == sides[0].dialogue]
    curves_film(film, [made[i].take(sides[i].person) for i in chosen], fps, read_sound(sides[0].sound), SIZE)
    moments = np.linspace(0, len(made[0].head) - 1, MOMENTS + 2).round().astype(int)[1:-1]
    rows = [
        list(draw_takes([motions[i].at(moments).take(f"{sides[i].person}, {title}") for i in chosen], SMALL))
        for title, motions in (("truth", [side.truth for side in sides]), ("model", made))
    ]
    tiles = [np.concatenate(column) for column in zip(*rows, strict=True)]
    contact_sheet(sheet, tiles, MOMENTS // 2, [f"{frame / fps:.1f} s" for frame in moments])
    return [film, sheet]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="the project, e.g. demo-conversation")
    parser.add_argument("--run", default=LATEST, help="full name of a training run (default: the newest)")
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for film and figures (default: demo/)")
    parser.add_argument(
        "--guide", metavar="CONFIG", help="the project of a guide, whose newest run tells poses as well"
    )
    args = parser.parse_args(argv)
    return answer(lambda: report(args.config, args.run, args.guide, args.out))


if __name__ == "__main__":
    sys.exit(main())
