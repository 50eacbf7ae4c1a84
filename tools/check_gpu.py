#!/usr/bin/env python3
"""Check on this machine's GPU what the framework does, against its CPU: one table, in less than six minutes.

    python tools/check_gpu.py                        everything
    python tools/check_gpu.py --only features regression regression-compiled
    python tools/check_gpu.py --device cpu           the same program without a GPU

Made-up data, nothing is downloaded. Each line is one thing: whether it holds, how far it is from the CPU in float32, and
the milliseconds that a step, a window or a sentence takes on both. Both methods are trained for some steps in float32 and bf16,
compiled and not; resumed; trained by the command, exported, and animated in PyTorch, onnxruntime and TensorRT where
installed; trained by two processes where there are two GPUs. Every check runs in a process of its own, so that a crash or
an endless compilation is a line, too. Exit status: 0 all that could be tried holds, 1 something does not, 2 no such device.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.problems import UserError
from runners.cli import answer

if TYPE_CHECKING:
    from tools.bench.on_device import Row

NAMES = [
    "features",
    "regression",
    "diffusion",
    "regression-resume",
    "diffusion-resume",
    "regression-export",
    "diffusion-export",
    "regression-processes",
    "diffusion-processes",
    "regression-compiled",
    "diffusion-compiled",
]
MINUTES, LONGEST_S = 5.5, 150.0  # for all, for one
SHOTS = 4
SHORT = """
NUM_EPOCHS = 2
CHECKPOINT_MINUTES = 60.0
VALIDATION_CLIPS = None
PREVIEW_PERIOD = None
NUM_PROCESSES = 1
"""
SIGNS = {True: "holds", False: "FAILS", None: "not tried"}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="as A2F_DEVICE: cuda, cuda:1, cpu (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="CHECK", help=", ".join(NAMES))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="when to stop (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)  # of the process of one check
    args = parser.parse_args(argv)
    if args.project:
        return answer(lambda: run_check(args.only[0], args.device))
    return answer(lambda: check(args.device, args.only, args.minutes, args.json))


def check(device: str, names: Sequence[str], minutes: float, as_json: bool) -> int:
    """Run checks one after the other and print their rows as they come; returns the exit status."""
    end_s = time.monotonic() + 60 * minutes
    print(describe(device), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="a2f_check_") as folder:
        environment = make_projects(Path(folder), device)
        print(line("check", "", "ms", "CPU ms", "found"), flush=True)
        for name in names:
            for row in run_apart(name, device, Path(folder), environment, min(LONGEST_S, end_s - time.monotonic())):
                rows.append(row)
                print(row_line(row), flush=True)
    failed, untried = ([row for row in rows if row.holds is kind] for kind in (False, None))
    taken_s = 60 * minutes - (end_s - time.monotonic())
    print(
        f"{len(rows) - len(failed) - len(untried)} hold, {len(failed)} fail, {len(untried)} not tried, {taken_s:.0f} s"
    )
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "seconds": taken_s}))
    return int(bool(failed))


def describe(device: str) -> str:
    """The device and the versions that matter. Raises UserError when there is no such device."""
    import torch

    from audio2face.runtime import choose_device, device_name, quick_in_bf16

    place = choose_device(device)
    bf16 = "quick" if quick_in_bf16(place) else "slow"
    return f"{device_name(place)}, bfloat16 {bf16}, PyTorch {torch.__version__}, {torch.get_num_threads()} CPU threads"


def make_projects(root: Path, device: str) -> dict[str, str]:
    """A made-up data set, preprocessed, and a short training of each method; returns the environment of their commands."""
    environment = {**os.environ, "A2F_DEVICE": device, "A2F_CONFIGS_ROOT": str(root / "configs")}
    environment |= {f"A2F_{name.upper()}_ROOT": str(root / name) for name in ("datasets", "workspace")}
    for method in ("regression", "diffusion"):
        for name, count in ((method, 1), (f"{method}-two", 2)):
            source, folder = ROOT / "configs" / f"demo-{method}", root / "configs" / name
            folder.mkdir(parents=True)
            for path in source.glob("*.py"):
                text = path.read_text(encoding="utf-8")
                short = SHORT.replace("= 1\n", f"= {count}\n") if path.name == "config_train.py" else ""
                (folder / path.name).write_text(text + short, encoding="utf-8")
    data = ["tools/make_demo_dataset.py", str(root / "datasets/demo"), "--shots", str(SHOTS), "--voice", "formant"]
    for arguments in (data, ["run_preproc.py", "regression", "demo", "--local"]):
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{arguments[0]} failed: {last_line(done.stderr)}")
    return environment


def run_apart(name: str, device: str, project: Path, environment: Mapping[str, str], limit_s: float) -> Iterator[Row]:
    """The rows of one check, run in a process of its own; one that says how it ended, if not well."""
    from tools.bench.on_device import Row

    if limit_s < 1:
        yield Row(name, None, "no time was left")
        return
    arguments = [__file__, "--device", device, "--only", name, "--project", str(project)]
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env={**environment}, capture_output=True, text=True, timeout=limit_s
        )
        out, ended = done.stdout, f"exit status {done.returncode}: {last_line(done.stderr)}" if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        out = (error.stdout or b"").decode() if isinstance(error.stdout, bytes | None) else error.stdout
        ended = f"not done after {limit_s:.0f} s"
    for text in out.splitlines():
        if text.startswith("{"):
            yield Row(**json.loads(text))
    if ended:
        yield Row(name, False, ended)


def run_check(name: str, device: str) -> int:
    """Run one check in this process and print its rows as JSON, a line each."""
    from tools.bench.on_device import CHECKS

    for row in CHECKS[name](device):
        print(json.dumps(asdict(row)), flush=True)
    return 0


def last_line(text: str) -> str:
    """What a process said last."""
    return (text.strip() or "no message").splitlines()[-1][:160]


def row_line(row: Row) -> str:
    """A row of the table."""
    device_ms, cpu_ms = ("" if ms is None else f"{ms:.3g}" for ms in (row.device_ms, row.cpu_ms))
    return line(row.check, SIGNS[row.holds], device_ms, cpu_ms, row.told)


def line(check: str, holds: str, device_ms: str, cpu_ms: str, told: str) -> str:
    return f"{check:<30} {holds:<10} {device_ms:>8} {cpu_ms:>8}  {told}"


if __name__ == "__main__":
    sys.exit(main())
