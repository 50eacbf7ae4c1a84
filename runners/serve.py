"""The server: clients of NVIDIA's Audio2Face-3D service get their animation from your own model.

python -m runners.serve demo-regression latest
python -m runners.serve workspace/output_deploy/261121_143912_demo
"""

from __future__ import annotations

import argparse
import os
import re
from fractions import Fraction
from pathlib import Path

from runners.cli import answer
from runners.outputs import add_outputs, opened

DEFAULT_PORT = 52000
EXAMPLES = """
examples:
  python -m runners.serve demo-regression latest                   the newest training run of a project, once deployed
  python -m runners.serve workspace/output_deploy/261121_143912_demo --listen 0.0.0.0:52000
  python -m runners.serve MODEL --actor mark --emotion joy --keep lowerFaceStrength
  python -m runners.serve MODEL --http 8000 --metrics 9464         :8000/v1/health/ready, Prometheus at :9464/metrics
  python -m runners.serve MODEL --mirror --live-link 127.0.0.1     what clients are sent, to Unreal's Live Link as well
  python -m runners.serve MODEL --tls server.crt server.key --client-ca ca.crt

Point a client (Unreal's ACE plugin, Maya-ACE, the sample clients) at http://127.0.0.1:52000. Without --listen, only
programs on this machine can connect. In the container: `A2F_SERVE_PORT=52000 ./docker/run_shell.sh`, and the command in
that shell. SIGTERM or Ctrl-C lets open streams end, up to --grace seconds.
Exit status: 0 stopped, 2 a mistake in the arguments.
"""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    return answer(lambda: serve(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runners.serve",
        description="Serve a model over gRPC, in the protocol of NVIDIA's Audio2Face-3D microservice.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", metavar="MODEL_OR_CONFIG", help="a deployed model's folder, or a project of configs/")
    add("run", metavar="RUN", nargs="?", help="with a project: a full run name or `latest`")
    add("--listen", metavar="HOST:PORT", default=_default_listen(), help="where gRPC listens (default: %(default)s)")
    add("--tls", metavar=("CERT", "KEY"), nargs=2, type=Path, help="certificate and key, in PEM")
    add(
        "--client-ca",
        metavar="FILE",
        type=Path,
        help="with --tls: accept only clients with a certificate signed by this one",
    )
    add(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="accept only clients that send `authorization: Bearer <its text>`",
    )
    add("--actor", metavar="NAME", help="whose face (needed when the model knows several)")
    add("--emotion", metavar="NAME", help="of streams that bring none (default: the model's)")
    add(
        "--emotions",
        choices=("service", "direct"),
        default="service",
        help="direct: keys unchanged, without strengths",
    )
    add(
        "--fps",
        metavar="N",
        default="30",
        help="frames a second that are sent, or `native` (default: 30, as clients expect)",
    )
    add(
        "--poses",
        choices=("arkit", "tongue", "all"),
        default="arkit",
        help="also the 16 of the tongue, or all of the rig",
    )
    add("--keep", metavar="NAME", nargs="+", default=[], help="face parameters of clients that are ignored, or `all`")
    add("--peak", metavar="X", type=float, default=1.0, help="largest sample to expect of clients' sound (default: 1)")
    add("--tail", metavar="S", type=float, default=0.0, help="seconds of silence animated after each clip (default: 0)")
    add("--quiet-status", action="store_true", help="do not send notes of what was clamped or ignored")
    add("--streams", metavar="N", type=int, default=8, help="at most this many at once (default: %(default)s)")
    add("--queue", metavar="S", type=float, default=0.0, help="further ones wait this long for a place (default: 0)")
    add("--batch", metavar="N", type=int, default=8, help="streams that run together (default: %(default)s)")
    add("--max-clip", metavar="S", type=float, default=300.0, help="longest sound of a stream (default: %(default)g)")
    add(
        "--idle",
        metavar="S",
        type=float,
        default=30.0,
        help="end streams that send nothing for this many seconds (default: %(default)g)",
    )
    add(
        "--grace",
        metavar="S",
        type=float,
        default=10.0,
        help="when stopping, wait this many seconds for open streams (default: %(default)g)",
    )
    add("--http", metavar="[HOST:]PORT", help="health checks over HTTP, a test page, and streams over WebSocket")
    add("--origin", metavar="URL", nargs="+", default=[], help="web pages that may open streams, beside this machine's")
    add(
        "--mirror",
        action="store_true",
        help="the newest stream also goes to live outputs: those below, /live of --http",
    )
    add_outputs(parser)
    add("--metrics", metavar="[HOST:]PORT", help="counts for Prometheus at /metrics")
    add("--threads", metavar="N", type=int, default=0, help="of the network (default: all cores)")
    add("--int8", action="store_true", help="run a large speech encoder in 8-bit integers")
    return parser


def serve(arguments: argparse.Namespace) -> int:
    """Open the model and serve it until the end is asked for."""
    import asyncio

    from audio2face import runtime
    from audio2face.commands.serve import open_model
    from audio2face.problems import UserError

    runtime.setup_logging()
    problems = _problems(arguments)
    if problems:
        raise UserError(problems)
    try:
        from audio2face.serving.engine import ServedModel
        from audio2face.serving.options import ServeOptions
        from audio2face.serving.server import Endpoint
        from audio2face.serving.server import serve as serve_model
    except ImportError as error:
        raise UserError(f"serving needs the package {error.name}: pip install -e '.[serve]'") from error
    options = ServeOptions(
        actor=arguments.actor,
        emotion=arguments.emotion,
        fps=None if arguments.fps == "native" else Fraction(arguments.fps),
        poses=arguments.poses,
        keep=tuple(arguments.keep),
        direct_emotions=arguments.emotions == "direct",
        tail_s=arguments.tail,
        peak=arguments.peak,
        quiet_status=arguments.quiet_status,
        streams=arguments.streams,
        queue_s=arguments.queue,
        batch=arguments.batch,
        max_clip_s=arguments.max_clip,
        idle_s=arguments.idle,
        grace_s=arguments.grace,
        token=_token(arguments.token_file),
    )
    certificate, key = arguments.tls or (None, None)
    endpoint = Endpoint(
        arguments.listen,
        _address(arguments.http),
        _address(arguments.metrics),
        certificate,
        key,
        arguments.client_ca,
        tuple(arguments.origin),
    )
    model = open_model(arguments.what, arguments.run, arguments.threads, "int8" if arguments.int8 else None)
    served = ServedModel(model, options)
    rate = float(options.fps or served.fps)
    secure = "https" if arguments.tls else "http"

    def ready(port: int) -> None:
        host = arguments.listen.rpartition(":")[0]
        page = f"Test page and health: http://{_address(arguments.http)}/\n" if arguments.http else ""
        print(
            f"{served.actor}: {len(served.names)} blendshapes at {rate:g} frames a second\n"
            f"Serving at {secure}://{host}:{port}\n{page}Ctrl-C stops the server.",
            flush=True,
        )

    mirror = opened(arguments, served) if arguments.mirror else None
    asyncio.run(serve_model(served, endpoint, ready, mirror))
    return 0


def _problems(arguments: argparse.Namespace) -> list[str]:
    problems = []
    for name, least in (("streams", 1), ("batch", 1), ("threads", 0)):
        if getattr(arguments, name) < least:
            problems.append(f"--{name} {getattr(arguments, name)}: expected a whole number from {least} on")
    for name in ("max_clip", "idle", "peak", "tail", "grace", "queue"):
        value = getattr(arguments, name)
        if not 0 <= value < float("inf") or (not value and name in ("max_clip", "idle", "peak")):
            problems.append(f"--{name.replace('_', '-')} {value:g}: expected a positive number")
    if arguments.fps != "native" and not (
        re.fullmatch(r"\d+(\.\d+|/\d+)?", arguments.fps) and 1 <= _fps(arguments.fps) <= 240
    ):
        problems.append(
            f"--fps {arguments.fps}: expected 1 to 240 frames a second, such as 30, 29.97 or 60, or `native`"
        )
    for name in ("listen", "http", "metrics"):
        value = getattr(arguments, name)
        if value is not None and not re.fullmatch(r"((\[[0-9a-fA-F:]+\]|[\w.-]+):)?\d{1,5}", value):
            problems.append(f"--{name} {value}: expected HOST:PORT or PORT")
    if arguments.mirror and not (arguments.live_link or arguments.vmc or arguments.http):
        problems.append("--mirror: no outputs are given; add --live-link, --vmc or --http")
    if (arguments.live_link or arguments.vmc) and not arguments.mirror:
        problems.append("--live-link and --vmc need --mirror")
    if arguments.client_ca and not arguments.tls:
        problems.append("--client-ca needs --tls")
    for path in (*(arguments.tls or ()), arguments.client_ca, arguments.token_file):
        if path is not None and not path.is_file():
            problems.append(f"{path}: no such file")
    return problems


def _fps(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _default_listen() -> str:
    """This machine alone; in a container whose port the launcher publishes (A2F_SERVE_PORT), that port."""
    port = os.environ.get("A2F_SERVE_PORT", "")
    inside = os.environ.get("A2F_IN_CONTAINER") == "1" and port.isdecimal()
    return f"0.0.0.0:{port}" if inside else f"127.0.0.1:{DEFAULT_PORT}"


def _address(text: str | None) -> str | None:
    """HOST:PORT of a port alone: of this machine, in a container of all its addresses, which only published ports reach."""
    if text is None or ":" in text:
        return text
    host = "0.0.0.0" if os.environ.get("A2F_IN_CONTAINER") == "1" else "127.0.0.1"
    return f"{host}:{text}"


def _token(path: Path | None) -> str | None:
    """The text of a token's file, without the line's end. Raises UserError for an empty one."""
    from audio2face.problems import UserError

    if path is None:
        return None
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        raise UserError(f"--token-file {path}: the file is empty")
    return token


if __name__ == "__main__":
    raise SystemExit(main())
