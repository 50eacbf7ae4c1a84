"""The viewer: shows animations in a browser of this machine, with their sound, the truth beside them, and live models.

python -m runners.view demo-regression latest
python -m runners.view demo-regression
python -m runners.view animation.npy --audio speech.wav --triangles face.obj
"""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from runners.cli import Stop, answer

EXAMPLES = """
examples:
  python -m runners.view demo-regression                     the data set: truth and sound
  python -m runners.view demo-regression demo                one actor of it
  python -m runners.view demo-regression latest              the newest training run: truth | live prediction
  python -m runners.view demo-regression 261121_143912_demo  any run: inference, evaluation, training, deployment
  python -m runners.view demo-regression latest --kind inference
  python -m runners.view workspace/output_deploy/261121_143912_demo            a model alone: drop a sound on the page
  python -m runners.view shot.npy --audio shot.wav --triangles face.obj        any animation file or folder
  python -m runners.view phone.csv --audio phone.wav                           weights and head angles, on a built-in head

It needs no network, and answers this machine only. From another machine: `ssh -L 8123:127.0.0.1:8123`, and --port 8123
--no-browser. In the container: `A2F_VIEWER_PORT=8123 ./docker/run_shell.sh`, and the command in that shell. Ctrl-C
stops it. Exit status: 0 stopped, 2 a mistake in the arguments.
"""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    return answer(lambda: view(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runners.view",
        description="Show animations in the browser: sound, truth beside prediction, errors in colours, live models.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", metavar="WHAT", help="a project of configs/, an animation file or folder, or a deployed model's folder")
    add("name", metavar="RUN_OR_ACTOR", nargs="?", help="with a project: a full run name, `latest`, or an actor")
    add("--kind", choices=("inference", "evaluate", "train", "deploy"), help="which kind of run the name refers to")
    add(
        "--audio",
        metavar="PATH",
        type=Path,
        help="sound of animation files: a file, or a folder with files of the same names",
    )
    add("--triangles", metavar="FILE", type=Path, help="faces of animation files: .npy (F, 3), .obj or .usd")
    add("--fps", type=float, help="frames a second of animation files without a rate (default: 30)")
    add("--channel", metavar="NAME", help="which channel of Maya caches that hold several")
    add("--port", type=int, default=0, help="port to listen on (default: any free one)")
    add("--no-browser", action="store_true", help="only print the address")
    return parser


def view(arguments: argparse.Namespace) -> int:
    """Find what to show, and serve it until Ctrl-C."""
    from audio2face import runtime
    from audio2face.commands.view import ViewRequest, build_library
    from audio2face.problems import UserError
    from audio2face.viewer.server import ViewServer

    runtime.setup_logging()
    problems = [
        f"{path}: no such file" for path in (arguments.audio, arguments.triangles) if path and not path.exists()
    ]
    if arguments.fps is not None and not 0 < arguments.fps <= 1000:
        problems.append(f"--fps {arguments.fps:g}: expected a number between 0 and 1000")
    if not 0 <= arguments.port <= 65535:
        problems.append(f"--port {arguments.port}: expected a number up to 65535")
    if problems:
        raise UserError(problems)
    port, published = port_to_listen_on(arguments.port, os.environ)
    fields = ("what", "name", "kind", "audio", "triangles", "fps", "channel")
    library = build_library(ViewRequest(**{name: getattr(arguments, name) for name in fields}))
    try:
        server = ViewServer(library, port, published)
    except OSError as error:
        raise UserError(
            f"--port {port}: {error.strerror}; choose another, or leave --port out for any free one"
        ) from error
    try:
        for notice in [*library.notices, *_closed(published, os.environ)]:
            print(f"note: {notice}")
        print(f"{library.title}: {len(library.shots)} shot(s)\nOpen {server.url}\nCtrl-C stops the viewer.", flush=True)
        Stop().listen()
        if not arguments.no_browser:
            webbrowser.open(server.ticket_url())
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        server.server_close()
        library.close()
    return 0


def port_to_listen_on(asked: int, environ: Mapping[str, str]) -> tuple[int, bool]:
    """The port, and whether it is the one of this container that docker/run_shell.sh publishes (A2F_VIEWER_PORT)."""
    given = environ.get("A2F_VIEWER_PORT", "")
    if environ.get("A2F_IN_CONTAINER") != "1" or not given.isdecimal() or asked not in (0, int(given)):
        return asked, False
    return int(given), True


def _closed(published: bool, environ: Mapping[str, str]) -> list[str]:
    """A hint for a container without open ports; VSCode's terminal forwards them by itself."""
    if published or environ.get("A2F_IN_CONTAINER") != "1" or environ.get("TERM_PROGRAM") == "vscode":
        return []
    return ["no browser outside reaches this container; start its shell as A2F_VIEWER_PORT=8123 ./docker/run_shell.sh"]


if __name__ == "__main__":
    sys.exit(main())
