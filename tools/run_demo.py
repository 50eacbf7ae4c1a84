#!/usr/bin/env python3
"""Make the demo data set, train on it, deploy, evaluate, and animate an unseen sentence. `make demo` runs this.

Everything goes to one folder (demo/ in the checkout): the data set, the runs, the models, the reports and the videos.

    python tools/run_demo.py [--out demo] [--config demo-regression demo-diffusion]
    python tools/run_demo.py --config demo-conversation    two people who talk to each other
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACTOR = "demo"
CONVERSATION, GUIDE, PEOPLE = "demo-conversation", "demo-conversation-guide", ("ada", "ben")
STOPPED = 130


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for data set, runs and video")
    parser.add_argument("--config", nargs="+", default=["demo-regression", "demo-diffusion"], help="projects to train")
    args = parser.parse_args()
    out = args.out.resolve()
    datasets, workspace = out / "datasets", out / "workspace"
    environment = {**os.environ, "A2F_DATASETS_ROOT": str(datasets), "A2F_WORKSPACE_ROOT": str(workspace)}
    start = time.monotonic()
    datasets.mkdir(parents=True, exist_ok=True)
    for arguments in steps(args.config, out):
        step(arguments, environment)
    print(f"\ndemo finished in {(time.monotonic() - start) / 60:.1f} minutes. To look at, in a browser:")
    for config, report in zip(args.config, newest_reports(workspace, len(args.config)), strict=False):
        print(f"  {config}\n    report  {report}\n    video   {out / f'{config}.mp4'}")
    roots = f"A2F_DATASETS_ROOT={datasets} A2F_WORKSPACE_ROOT={workspace}"
    print(f"To play with the models:\n  {roots} {sys.executable} -m runners.view {args.config[0]} latest")
    return 0


def steps(configs: Sequence[str], out: Path) -> Iterator[list[str]]:
    """The commands of the demo of some projects, in order, each made when those before it have ended."""
    if any(config != CONVERSATION for config in configs):
        yield ["tools/make_demo_dataset.py", str(out / "datasets/demo"), "--actor", ACTOR]
    for config in configs:
        yield from conversation_steps(out) if config == CONVERSATION else face_steps(config, out)


def face_steps(config: str, out: Path) -> Iterator[list[str]]:
    """One head that says a sentence."""
    yield ["run_preproc.py", config, ACTOR, "--local"]
    yield ["run_train.py", config, "--local"]
    yield ["run_deploy.py", config, "latest", "--local"]
    yield ["run_inference.py", config, "latest", "--local"]
    yield ["run_evaluate.py", config, "latest", "--local"]
    yield ["tools/demo_report.py", config, "--out", str(out)]


def conversation_steps(out: Path) -> Iterator[list[str]]:
    """Two people who talk to each other: their data set, a guide and a model of both, and both sides of a dialogue."""
    yield ["tools/make_demo_conversation.py", str(out / "datasets/conversation")]
    for person in PEOPLE:
        yield ["run_preproc.py", CONVERSATION, person, "--local"]
    yield ["run_train.py", GUIDE, "--local"]
    yield ["run_train.py", CONVERSATION, "--local"]
    guide = sorted((out / "workspace/output_train").glob(f"*_{GUIDE}"))[-1].name
    yield ["run_inference.py", CONVERSATION, "latest", "--guide", guide, "--local"]
    yield ["run_evaluate.py", CONVERSATION, "latest", "--videos", "0", "--local"]
    yield ["tools/demo_conversation_report.py", CONVERSATION, "--guide", GUIDE, "--out", str(out)]


def newest_reports(workspace: Path, count: int) -> list[Path]:
    """The last `count` pages of run_evaluate.py, oldest first."""
    return sorted((workspace / "output_evaluate").glob("*/report.html"))[-count:]


def step(arguments: list[str], environment: dict[str, str]) -> None:
    """Run one script with this Python; a failure ends the demo with its exit status."""
    print(f"\n$ python {' '.join(arguments)}", flush=True)
    began = time.monotonic()
    process, status, stopped = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment), None, False
    while status is None:
        try:
            status = process.wait()
        except KeyboardInterrupt:  # Ctrl-C reaches the step as well: it saves what it can and ends
            stopped = True
    if stopped or status in (STOPPED, -signal.SIGINT):
        print("\ndemo stopped; make demo starts again and reuses what it can", file=sys.stderr)
        sys.exit(STOPPED)
    if status:
        print(f"\ndemo ended at: python {' '.join(arguments)} (exit status {status})", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)
    print(f"({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
