"""What there is to see: actors with their meshes, shots with their sound, truth and prediction, opened when looked at."""

from __future__ import annotations

import io
import itertools
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from audio2face.audio.waveform import one_voice, speech_problems
from audio2face.formats.sound import SOUND_SUFFIXES, read_sound, sound_info
from audio2face.inference.talks import ROLES, Talk, both_voices, one_voice_of
from audio2face.problems import UserError
from audio2face.types import Track
from audio2face.viewer.actors import Actor
from audio2face.viewer.live import LiveModel
from audio2face.viewer.studio import Made, Studio
from audio2face.viewer.tracks import AnimationStream

PEAKS = 800  # columns of a shot's waveform
KEPT_SOUNDS = 4
LONGEST_SOUND_S = 1800
MOST_SAMPLES = 1 << 28  # of all channels of a sound that is sent here: 1 GB in memory
MOST_UPLOADED_BYTES = 2_000_000_000  # on disk, of all of them
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class ShotView:
    """One entry of the list. `truth` and `prediction` open its animations; `start` is an emotion for a live model, `source` the
    file that an edit begins with, which `beside` are shown with.

    `channel` of the sound is the actor's own voice, `partner` the voice of the person whom it talks to, which begins with it, and
    `other` finds that person's shot of the same conversation, None where there is none."""

    name: str
    actor: str
    emotion: str = ""
    sound: Path | None = None
    truth: Callable[[], AnimationStream] | None = None
    prediction: Callable[[], AnimationStream] | None = None
    start: Mapping[str, float] | None = None
    note: str = ""
    source: Path | None = None
    beside: tuple[Path, ...] = ()
    channel: int | None = None
    partner: Track | None = None
    other: Callable[[], ShotView | None] | None = None


class Library:
    """Everything that one page shows. Tracks are opened once and then known by a number."""

    def __init__(
        self,
        title: str,
        actors: list[Actor],
        shots: list[ShotView],
        model: LiveModel | None = None,
        notices: list[str] | None = None,
        studio: Studio | None = None,
    ):
        self.title, self.actors, self.shots, self.model = title, actors, list(shots), model
        self.studio = studio
        self.notices = list(notices or [])
        self._tracks: dict[int, AnimationStream] = {}
        self._live: dict[int, AnimationStream] = {}
        self._numbers = itertools.count(1)
        self._opened: dict[tuple[int, str, bool], int] = {}
        self._others: dict[int, ShotView | None] = {}
        self._made: dict[Path, int] = {}
        self._sounds: OrderedDict[tuple[int | None, ...], bytes] = OrderedDict()  # of own shot, partner's, and actor
        self._lock = threading.RLock()
        self._uploaded, self._upload_numbers = 0, itertools.count()
        self._uploads = TemporaryDirectory(prefix="audio2face-view-")

    def close(self) -> None:
        """Stop what is being computed and remove uploaded sounds."""
        if self.model is not None:
            self.model.close()
        if self.studio is not None:
            self.studio.close()
        self._uploads.cleanup()

    def actor(self, name: str) -> Actor:
        """The actor of this name. Raises StopIteration when there is none."""
        return next(actor for actor in self.actors if actor.name == name)

    def open(self, shot: int, side: str, other: bool = False) -> int | None:
        """The number of the "truth" or "prediction" of a shot, or of its `other` person; None when there is none. Raises UserError
        when it cannot be read."""
        item = self.other(shot) if other else self.shots[shot]
        opener = None if item is None else getattr(item, side)
        if item is None or opener is None:
            return None
        with self._lock:
            key = (shot, side, other)
            if key not in self._opened:
                try:
                    track = opener()
                except (OSError, ValueError) as error:
                    raise UserError(f"{item.name}: {error}") from error
                number = self._opened[key] = next(self._numbers)
                self._tracks[number] = track
            return self._opened[key]

    def other(self, shot: int) -> ShotView | None:
        """The shot of whom a shot's actor talks to; None where nothing is known of that. Raises UserError."""
        with self._lock:
            if shot not in self._others:
                find = self.shots[shot].other
                try:
                    self._others[shot] = None if find is None else find()
                except (OSError, ValueError) as error:
                    raise UserError(str(error)) from error
            return self._others[shot]

    def partner(self, shot: int) -> Track | None:
        """The voice of whom a shot's actor talks to; None in a monologue, as a file of one voice among those of two is. Raises
        UserError when the sound cannot be read."""
        item = self.shots[shot]
        if item.partner is None or item.sound is None or item.partner.path != item.sound:
            return item.partner
        try:
            return item.partner if sound_info(item.sound).num_channels > 1 else None
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error

    def hears_other(self, shot: int, actor: int) -> bool:
        """Whether an actor whose partner says a shot hears the other person of it, not the shot's own. Raises UserError."""
        try:
            voice = self._heard(self._file(shot), actor)
        except ValueError as error:
            raise UserError(str(error)) from error
        item = self.shots[shot]
        return voice.channel is not None and item.partner is not None and voice.channel != item.channel

    def track(self, number: int) -> AnimationStream | None:
        """The track of a number, None when it is not there (any more)."""
        return self._tracks.get(number) or self._live.get(number)

    def animate(self, shot: int, emotion: Any, actor: str | None, postprocess: bool = True) -> int:
        """Begin to animate a shot's sound with the live model; returns the track's number. Raises UserError."""
        if self.model is None:
            raise UserError("no model is loaded to animate with")
        sound = self.shots[shot].sound
        if sound is None:
            raise UserError(f"{self.shots[shot].name} has no sound to animate")
        with self._lock:
            track = self.model.animate(sound, emotion, actor, postprocess)
            self._live = {number: live for number, live in self._live.items() if live in self.model.tracks()}
            number = next(self._numbers)
            self._live[number] = track
            return number

    def the_studio(self) -> Studio:
        """What makes animations here. Raises UserError without a network that can."""
        if self.studio is None:
            raise UserError("nothing here can edit: train a diffusion_transformer, and open its run")
        return self.studio

    def show(self, made: Made) -> int:
        """The number of a take's track. Raises UserError when it cannot be read."""
        with self._lock:
            if made.file not in self._made:
                try:
                    track = made.open()
                except (OSError, ValueError) as error:
                    raise UserError(str(error)) from error
                number = self._made[made.file] = next(self._numbers)
                self._tracks[number] = track
            return self._made[made.file]

    def upload(self, name: str, file: io.BufferedIOBase, size: int) -> int:
        """Add a sound of `size` bytes in `file` as a shot; returns its number. It is kept on disk, and decoded one at a time.

        Raises UserError when it is not a sound file, or they are too many.
        """
        shown = re.sub(r"[^\w .()-]", "_", name)[:80].strip() or "sound"
        with self._lock:
            suffix = next((s for s in SOUND_SUFFIXES if name.lower().endswith(s)), SOUND_SUFFIXES[0])
            own = f"sound{next(self._upload_numbers)}{suffix}"  # never the client's own name
            path = Path(self._uploads.name) / own
            if self._uploaded + size > MOST_UPLOADED_BYTES:
                raise UserError(
                    f"{shown}: {MOST_UPLOADED_BYTES / 1e9:g} GB of sounds are here; start the viewer again for more"
                )
            self._uploaded += size
        try:
            _copy(file, size, path)
            with self._lock:
                return self._add_sound(shown, path)
        except BaseException:
            path.unlink(missing_ok=True)
            with self._lock:
                self._uploaded -= size
            raise

    def _add_sound(self, shown: str, path: Path) -> int:
        try:
            info = sound_info(path)
            if not 0 < info.duration_s <= LONGEST_SOUND_S:
                raise ValueError(f"expected between one sample and {LONGEST_SOUND_S // 60} minutes of sound")
            if info.num_samples * info.num_channels > MOST_SAMPLES:
                raise ValueError(
                    f"{info.num_channels} channels of {info.duration_s:.0f} s are too much at once; export it as mono"
                )
            samples, rate = read_sound(path)
            problems = speech_problems(samples, rate)
        except (ValueError, OSError) as error:
            raise UserError(f"{shown}: {str(error).removeprefix(f'{path}: ')}") from error
        actor = self.model.actors[0] if self.model and self.model.actors else self.actors[0].name
        note = "; ".join(["yours", *filter(None, [info.note]), *problems])
        own, partner = self._two_voices(path, samples)
        self.shots.append(ShotView(shown, actor, sound=path, note=note, channel=own, partner=partner))
        return len(self.shots) - 1

    def _two_voices(self, path: Path, samples: np.ndarray) -> tuple[int | None, Track | None]:
        """The own channel and the partner's voice in a sound of the user's, as the studio's network takes them apart."""
        if self.studio is None or not self.studio.settings.hears_partner or samples.shape[1] != 2 or one_voice(samples):
            return None, None
        try:
            heard = self.studio.partner_track(self.actors[0].name, path).channel
        except ValueError:
            return None, None
        partner = ROLES["partner"] if heard is None else heard
        return 1 - partner, Track(path, partner)

    def sound(self, shot: int, partner: int | None = None, actor: int = 0) -> bytes:
        """A shot's sound as a 16-bit wav file, which every browser plays, with its partner's from the same start: the one that was
        recorded, or what an actor hears of another shot; the own voice left, the partner's right. Raises UserError."""
        own, item = self._file(shot), self.shots[shot]
        other = None if partner is None else self._file(partner)

        def samples() -> tuple[np.ndarray, int]:
            track = self.partner(shot) if other is None else self._heard(other, actor)
            info = sound_info(own)
            channel = item.channel if info.num_channels > 1 else None
            both, rate = both_voices(Talk(item.name, item.actor, Track(own, channel), track))
            return both.reshape(len(both), -1)[: info.num_samples], rate

        return self._wav((shot, partner, actor), samples)

    def partner_sound(self, shot: int, actor: int) -> bytes:
        """As `sound`, of what an actor hears alone whose partner says the shot."""
        file = self._file(shot)

        def samples() -> tuple[np.ndarray, int]:
            voice, rate = one_voice_of(self._heard(file, actor))
            return voice[:, None], rate

        return self._wav((None, shot, actor), samples)

    def _heard(self, file: Path, actor: int) -> Track:
        return self.the_studio().partner_track(self.actors[actor].name, file)

    def _file(self, shot: int) -> Path:
        path = self.shots[shot].sound
        if path is None:
            raise UserError(f"{self.shots[shot].name} has no sound")
        return path

    def _wav(self, key: tuple[int | None, ...], samples: Callable[[], tuple[np.ndarray, int]]) -> bytes:
        with self._lock:
            if key not in self._sounds:
                try:
                    self._sounds[key] = wav_bytes(*samples())
                except (OSError, ValueError) as error:
                    raise UserError(str(error)) from error
                while len(self._sounds) > KEPT_SOUNDS:
                    self._sounds.popitem(last=False)
            self._sounds.move_to_end(key)
            return self._sounds[key]


def _copy(file: io.BufferedIOBase, size: int, path: Path) -> None:
    """Write `size` bytes of a connection to a file, a piece at a time. Raises UserError when it ends early."""
    with path.open("wb") as out:
        while size:
            piece = file.read(min(size, PIECE_BYTES))
            if not piece:
                raise UserError("the sound did not arrive as a whole")
            out.write(piece)
            size -= len(piece)


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """Samples (N, C) float32 as a wav file of at most two channels."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(samples[:, :2], -1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def peaks(wav: bytes, columns: int = PEAKS) -> tuple[float, list[int]]:
    """Seconds of a wav file of `wav_bytes`, and its loudest sample (0 … 100) in each of so many equal parts."""
    channels, rate = struct.unpack_from("<HI", wav, 22)
    samples = np.frombuffer(wav, "<i2", offset=44)
    samples = np.abs(samples[: len(samples) // channels * channels].reshape(-1, channels).astype(np.int32)).max(axis=1)
    if not len(samples):
        return 0.0, []
    edges = np.unique(np.linspace(0, len(samples), columns, endpoint=False).astype(np.int64))
    loud = np.maximum.reduceat(samples, edges)
    return len(samples) / rate, (100 * loud // max(int(loud.max()), 1)).astype(int).tolist()
