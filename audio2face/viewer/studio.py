"""Animations that are made on the page by a network that sees them whole: takes of a sound, and edits of an animation."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from audio2face.formats.json_file import read_json
from audio2face.inference.keys import KEYS
from audio2face.inference.raw import ENDING
from audio2face.inference.takes_file import TAKES_FILE
from audio2face.listing import natural_order
from audio2face.problems import UserError
from audio2face.types import Track
from audio2face.viewer.tracks import AnimationStream

logger = logging.getLogger(__name__)

MOST_TAKES = 8
MOST_MADE = 40  # requests whose files are kept
# What config_inference may ask for sounds of its own, and not of the page's.
NOT_ASKED = {"SWAP_ROLES": False, "KEYFRAMES_PATH": None}


class Work(Protocol):
    """What is ready to be made: `inference.job.InferenceJob`, or `inference.edit.job.EditJob`."""

    def write(self, folder: Path, device: Any) -> None:
        """Make it on a torch.device and write its files into a folder."""


# Keys of config_inference -> what they ask for, and what keeps a folder of its files as an inference run, whose name it returns.
Prepare = Callable[[Mapping[str, Any]], tuple[Work, Callable[[Path], str]]]


@dataclass(frozen=True)
class GuideChoice:
    """A guide run that can draw keyframes, and how it does unless it is told otherwise."""

    name: str
    top_p: float
    temperature: float


@dataclass(frozen=True)
class Settings:
    """What sliders begin with: config_inference's. `guidance` has the scales that the network knows."""

    guidance: Mapping[str, float] = field(default_factory=dict)
    steps: str = ""  # a number, or what else TIMESTEP_RESPACING may be
    guides: tuple[GuideChoice, ...] = ()
    guide: str | None = None  # the one of GUIDE_RUN

    @property
    def hears_partner(self) -> bool:
        return "partner" in self.guidance


@dataclass(frozen=True)
class Wish:
    """What the page asks for: a sound, and of an animation's file the frames (first, last) that are made anew.

    `keys` are frames whose poses stay, (from, to) pairs of them; `parts` may change, None for all. Without a `source` all is made.
    """

    actor: str
    sound: Path
    source: Path | None = None
    beside: tuple[Path, ...] = ()  # files that are shown with it: other groups of its curves
    ranges: tuple[tuple[int, int], ...] = ()
    keys: tuple[tuple[int, int], ...] = ()
    parts: tuple[str, ...] | None = None
    takes: int = 1
    guidance: Mapping[str, float] = field(default_factory=dict)  # scales that differ from those of config_inference
    steps: int | None = None  # of sampling; None for as many as config_inference says
    seed: int = 42
    emotion: Any = None
    partner: Path | None = None
    both: bool = False  # the other side too, as an actor of the network; None for whom it chooses
    partner_actor: str | None = None
    guide: str | None = None  # a run that draws keyframes, and how; None for as its own config says
    top_p: float | None = None
    temperature: float | None = None

    def keys_of_config(self, formats: Sequence[str]) -> dict[str, Any]:
        """The same in keys of config_inference."""
        asked = {
            "ACTOR_NAME": self.actor,
            "AUDIO_PATH": str(self.sound),
            "PARTNER_AUDIO_PATH": None if self.partner is None else str(self.partner),
            "NUM_SAMPLES": self.takes,
            "RNG_SEED_INFERENCE": self.seed,
            "GUIDANCE": dict(self.guidance),
            "GUIDE_RUN": self.guide,
            "GUIDE_TOP_P": self.top_p,
            "GUIDE_TEMPERATURE": self.temperature,
            "OUTPUT_FORMATS": list(formats),
            "BOTH_SIDES": self.both,
            "PARTNER_ACTOR_NAME": self.partner_actor,
            **NOT_ASKED,
        }
        if self.steps is not None:
            asked |= {"TIMESTEP_RESPACING": str(self.steps), "NUM_DIFFUSION_STEPS": self.steps}
        if self.emotion is not None:
            asked["EMOTION_LABEL"] = self.emotion
        edit = {
            "file": str(self.source),
            "regenerate": [f"{first}-{last}" for first, last in self.ranges],
            "keys": [at if at == come else (come, at) for come, at in self.keys],
            "parts": None if self.parts is None else list(self.parts),
            "first_frame": 0,
            "film": False,
        }
        return asked | {"EDIT": edit if self.source is not None else {"file": None}}


@dataclass(frozen=True)
class Made:
    """One take: the file that it lies in, which can be edited again, whom it moves, and what shows it."""

    file: Path
    actor: str
    open: Callable[[], AnimationStream]


@dataclass
class Request:
    """A wish on its way: "computing", "ready" or "failed"; `takes` are filled in when it is ready, with the `others` the other side
    of each."""

    wish: Wish
    folder: Path
    keep: Callable[[Path], str]
    state: str = "computing"
    error: tuple[str, ...] = ()
    takes: list[Made] = field(default_factory=list)
    others: list[Made] = field(default_factory=list)


class Studio:
    """Makes one wish at a time, in the background, with a run's network.

    `parts` {actor: names} are what an edit may change, `formats` the files of whole animations, `show(files, actor)` opens one, and
    `settings` are what the network can be asked for. `partner_track(actor, file)` is the voice of a partner's file that is heard.
    """

    def __init__(
        self,
        prepare: Prepare,
        device: Callable[[], Any],
        parts: Mapping[str, Sequence[str]],
        formats: Sequence[str],
        show: Callable[[tuple[Path, ...], str], AnimationStream],
        settings: Settings,
        partner_track: Callable[[str, Path], Track],
    ):
        self.partner_track = partner_track
        self.parts, self.settings = {actor: tuple(names) for actor, names in parts.items()}, settings
        self._prepare, self._device, self._formats, self._show = prepare, device, tuple(formats), show
        self._folder = TemporaryDirectory(prefix="audio2face-studio-")
        self._requests: dict[int, Request] = {}
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, wish: Wish) -> int:
        """Start to make a wish; returns its number. Raises UserError for what is wrong with it, or while another is made."""
        if wish.source is not None and not (wish.ranges or wish.keys or wish.parts):
            raise UserError("mark frames, a key or parts: an edit without any of them changes nothing")
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise UserError("still computing: wait until it is ready")
            if sum(1 + request.wish.both for request in self._requests.values()) + wish.both >= MOST_MADE:
                raise UserError(
                    f"{MOST_MADE} animations were made here: keep what you like, and start the viewer again"
                )
            work, keep = self._prepare(wish.keys_of_config(self._formats))
            number = next(self._numbers)
            folder = Path(self._folder.name) / str(number)
            folder.mkdir()
            request = self._requests[number] = Request(wish, folder, keep)
            self._thread = threading.Thread(target=self._run, args=(request, work), daemon=True)
            self._thread.start()
            return number

    def request(self, number: int) -> Request | None:
        """A wish by its number, None when there is none."""
        return self._requests.get(number)

    def keep(self, number: int) -> str:
        """Keep the files of a wish as an inference run; returns its name. Raises UserError before it is ready."""
        request = self._requests.get(number)
        if request is None or request.state != "ready":
            raise UserError("there is nothing to keep yet")
        return request.keep(request.folder)

    def _run(self, request: Request, work: Work) -> None:
        try:
            work.write(request.folder, self._device())
            sides = [self._made(request, *side) for side in made_sides(request.folder, request.wish)]
            request.takes, request.others = sides[0], sides[1] if len(sides) > 1 else []
            request.state = "ready"
        except UserError as error:
            request.error, request.state = error.lines, "failed"
        except Exception as error:  # the page has to say it
            logger.exception("the animation could not be made")
            request.error, request.state = (str(error) or type(error).__name__,), "failed"

    def _made(self, request: Request, actor: str, files: Sequence[Path]) -> list[Made]:
        beside = request.wish.beside
        return [Made(file, actor, partial(self._show, (file, *beside), actor)) for file in files]

    def wait(self, timeout_s: float | None = None) -> None:
        """Until nothing is computed."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def close(self) -> None:
        """Remove all files that were not kept."""
        self.wait(5)
        self._folder.cleanup()


def made_sides(folder: Path, wish: Wish) -> list[tuple[str, list[Path]]]:
    """The actor and the takes' files of each side that was made of a wish, the other one last."""
    files = made_files(folder)
    if not wish.both:
        return [(wish.actor, files)]
    listed = read_json(folder / TAKES_FILE)["takes"]  # the sides of a take follow each other
    by_name = {file.stem.removesuffix("_skin"): file for file in files}
    return [(side[0]["actor"], [by_name[take["name"]] for take in side]) for side in (listed[::2], listed[1::2])]


def made_files(folder: Path) -> list[Path]:
    """The file of each take that inference or an edit wrote into a folder."""
    paths = natural_order(folder.iterdir())
    reports = [path for path in paths if path.suffix == ".json" and "_edit" in path.stem]
    if reports:
        return [folder / read_json(path)["output"] for path in reports]
    skins = [path for path in paths if path.name.endswith("_skin.npy")]
    return skins or [path for path in paths if path.suffix == ".npz" and not path.name.endswith((ENDING, KEYS))]
