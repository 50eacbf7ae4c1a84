"""A live face: speech from a microphone, a pipe or a file moves a character in Unreal, in a VRM program or in a browser.

python -m runners.live demo-regression latest --input mic --live-link 127.0.0.1
python -m runners.live MODEL --input speech.wav --vmc 127.0.0.1:39540
"""

from __future__ import annotations

import argparse
import re
import threading
from fractions import Fraction
from pathlib import Path

from runners.cli import Stop, answer
from runners.outputs import add_outputs, opened

EXAMPLES = """
examples:
  python -m runners.live demo-regression latest --live-link 192.168.1.20      the microphone, to Unreal on another machine
  python -m runners.live MODEL --input speech.wav --live-link 127.0.0.1 --subject ann
  python -m runners.live MODEL --input speech.wav --live-link 127.0.0.1 --play     and hear it, in step with the face
  python -m runners.live MODEL --vmc 127.0.0.1:39540 --vmc-names vrm          to a VRM program such as VSeeFace or VMagicMirror
  ffmpeg -re -i film.mp4 -f s16le -ac 1 -ar 16000 - | python -m runners.live MODEL --input - --rate 16000 --websocket 8765
  python -m runners.live --list-devices

MODEL is a deployed model's folder, or a project of configs/ and a RUN. Several outputs run at once. Ctrl-C ends it.
The face comes some time after the voice, which is measured and printed; delay the voice by as much where both are heard and seen.
Exit status: 0 ended, 2 a mistake in what was asked for.
"""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    return answer(lambda: live(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runners.live",
        description="Animate speech as it is spoken, and send the face to other programs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", metavar="MODEL_OR_CONFIG", nargs="?", help="a deployed model's folder, or a project of configs/")
    add("run", metavar="RUN", nargs="?", help="with a project: a full run name or `latest`")
    add("--input", metavar="SOURCE", default="mic", help="mic, a sound file, or - for raw PCM on stdin (default: mic)")
    add("--device", metavar="NAME", help="which microphone, by name or number")
    add("--channel", metavar="N", type=int, default=1, help="which of its channels (default: 1)")
    add("--rate", metavar="N", type=int, default=16000, help="samples a second of stdin (default: 16000)")
    add("--list-devices", action="store_true", help="list sound devices and end")
    add_outputs(parser)
    add("--websocket", metavar="[HOST:]PORT", help="JSON frames at ws://HOST:PORT/live")
    add("--origin", metavar="URL", nargs="+", default=[], help="web pages that may listen, beside this machine's")
    add("--actor", metavar="NAME", help="whose face (needed when the model knows several)")
    add("--emotion", metavar="NAME", help="emotion (default: the model's)")
    add("--fps", metavar="N", default="30", help="frames a second that are sent (default: 30)")
    add(
        "--peak",
        metavar="X",
        type=_peak,
        help="largest sample to expect, or `auto`: the loudest so far (default: auto for a microphone, otherwise 1)",
    )
    add("--play", metavar="DEVICE", nargs="?", const="", help="also play the sound here, in step with the face")
    add("--delay", metavar="S", type=float, help="seconds from voice to face (default: measured)")
    add("--threads", metavar="N", type=int, default=0, help="of the network (default: all cores)")
    return parser


def live(arguments: argparse.Namespace) -> int:
    """Open the model, the source and the outputs, and play until the sound ends."""
    from audio2face import runtime
    from audio2face.problems import UserError

    runtime.setup_logging()
    if problems := _problems(arguments):
        raise UserError(problems)
    try:
        from audio2face.serving.live import outputs, player, source, speaker
    except ImportError as error:
        raise UserError(f"live faces need the package {error.name}: pip install -e '.[live]'") from error
    if arguments.list_devices:
        print(source.list_devices())
        return 0
    from audio2face.commands.serve import open_model
    from audio2face.serving.engine import ServedModel
    from audio2face.serving.options import ServeOptions

    model = open_model(arguments.what, arguments.run, arguments.threads)
    peak = arguments.peak or ("auto" if arguments.input == "mic" else 1.0)
    options = ServeOptions(
        actor=arguments.actor,
        emotion=arguments.emotion,
        fps=Fraction(arguments.fps),
        peak=1.0 if isinstance(peak, str) else peak,
    )
    served = ServedModel(model, options)
    sound = source.open_source(arguments.input, arguments.rate, arguments.device, arguments.channel)
    sound = source.Levelled(sound) if peak == "auto" else sound
    delay = player.measure_delay(served)
    seconds = delay.total_s if arguments.delay is None else arguments.delay
    sinks = opened(arguments, served)
    if address := arguments.websocket:
        address = address if ":" in address else f"127.0.0.1:{address}"
        sinks.append(outputs.open_websocket(served, address, arguments.origin, seconds))
    loudspeaker = (
        speaker.Speaker(sound.sample_rate, seconds, arguments.play or None) if arguments.play is not None else None
    )
    face = outputs.Outputs(served, sinks)
    playing = player.Player(face, seconds, loudspeaker)
    print(
        f"{served.actor}: the face follows the voice by {seconds:.2f} s (the network looks {delay.look_ahead_s:.2f} s ahead, "
        f"a run takes {delay.work_s:.3f} s)\nCtrl-C ends it.",
        flush=True,
    )
    Stop().listen()
    threading.Thread(
        target=player.hear, args=(served, sound, playing, loudspeaker), name="hearing", daemon=True
    ).start()
    try:
        playing.run()
    except KeyboardInterrupt:
        playing.stop()
    finally:
        for part in (face, loudspeaker):
            if part is not None:
                part.close()
    print(f"{face.sent} frames sent, {playing.late} of them held because the next one was late")
    return 0


def _peak(text: str) -> float | str:
    if text == "auto":
        return text
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number or `auto`")
    return float(text)


def _problems(arguments: argparse.Namespace) -> list[str]:
    if arguments.list_devices:
        return []
    problems = []
    if arguments.what is None:
        problems.append("no model given: pass its folder, or a project and a RUN")
    if not (arguments.live_link or arguments.vmc or arguments.websocket):
        problems.append("nowhere to send the face: pass --live-link, --vmc or --websocket")
    if not re.fullmatch(r"\d+(\.\d+|/\d+)?", arguments.fps) or not 1 <= Fraction(arguments.fps) <= 240:
        problems.append(f"--fps {arguments.fps}: expected 1 to 240 frames a second")
    if not 8000 <= arguments.rate <= 192000:
        problems.append(f"--rate {arguments.rate}: expected 8000 to 192000 samples a second")
    if arguments.delay is not None and not 0 <= arguments.delay <= 10:
        problems.append(f"--delay {arguments.delay:g}: expected seconds, 0 to 10")
    if arguments.input not in ("mic", "-") and not Path(arguments.input).is_file():
        problems.append(f"--input {arguments.input}: no such file; expected mic, - or a sound file")
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
