"""Fuzzing of the readers of strangers' files: each gets small good files changed in many ways, and may give a value or a clear error.

`campaign` runs a child process that reads one changed file after the other. What is neither within 2 s and 200 MB is found,
and its file is kept. The child is itself what `audio2face.confined` starts for a library, so that no file takes a process; what
goes wrong there, or ends the child, is found only when it does so again as programs read it, the library in a process of its
own. With the package atheris the changes are guided by coverage, else they are those below.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audio2face.confined import INSIDE
from fakes.fuzz_kinds import Target, targets

ROOT = Path(__file__).resolve().parents[2]
MOST_S, MOST_BYTES = 2.0, 200 << 20  # of a file: of the processor, of memory
HANGS_S = 20.0  # by the wall's clock, on a busy machine
ROOM = 4 << 30  # of the child: what asks for more fails at once
MOST_DEATHS = 20


@dataclass
class Result:
    """What a campaign came to: files read, and {what went wrong: the file that shows it}."""

    executions: int = 0
    values: int = 0
    found: dict[str, bytes] = field(default_factory=dict)


# ---- changes

NUMBERS = [
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
]
TOKENS = [
    "-1", "0", "nan", "inf", "1e400", "-1e39", "9" * 30, "9" * 5000, "1e-400", "0x10", "²", "true", "\0", "\n", ",", '"', "'", "{", "}",
    "[", "]", "(", ")", "<", ">", "@", "#", "..", "/", "../../etc/passwd", "\ufeff", "𝟙", "\r\n", ";", "\t", "a" * 3000, " ", "",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 1, 3.5, 1e308, 10**400, 2**53, -(2**63), float("nan"), float("inf"), "", "a", "\0", "../../etc/passwd",
    "/dev/zero", "a" * 5000, [], {}, [[]], [None], [1, 2, 3], {"a": 1}, [[[[[[]]]]]],
]  # fmt: skip


def changed(data: bytes, others: list[bytes], kind: str, rng: random.Random) -> bytes:
    """A file like `data`, with a few changes of its kind, or of any."""
    if kind == "zip" and rng.random() < 0.7:
        with suppress(zipfile.BadZipFile, KeyError, ValueError, OSError, NotImplementedError):
            return _changed_zip(data, others, rng)
    if kind == "json" and rng.random() < 0.7:
        with suppress(ValueError, RecursionError):
            return _changed_json(json.loads(data), rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        data = (
            _changed_text(data, rng)
            if kind in ("text", "json") and rng.random() < 0.7
            else _changed_bytes(data, others, rng)
        )
    return data


def _changed_bytes(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 16, 64, 1000))
    way = rng.randrange(8)
    if way == 0 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if way == 1:
        return data[:at] + rng.randbytes(length) + data[at + length :]
    if way == 2:
        return data[:at] + data[at + length :]
    if way == 3:
        return data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]
    if way == 4:
        number, size = rng.choice(NUMBERS) * rng.choice((1, 1, -1)), rng.choice((1, 2, 4, 8))
        put = (number & (1 << 8 * size) - 1).to_bytes(size, rng.choice(("little", "big")))
        return data[:at] + put + data[at + size :]
    if way == 5:
        return data[:at]
    if way == 6:
        other = rng.choice(others)
        return data[:at] + other[rng.randrange(len(other) + 1) :]
    put = struct.pack(rng.choice(("<f", ">f", "<d", ">d")), rng.choice((float("nan"), float("inf"), -1.0, 1e-40, 3e38)))
    return data[:at] + put + data[at + len(put) :]


def _changed_text(data: bytes, rng: random.Random) -> bytes:
    import re

    words = list(re.finditer(rb"[\w.+-]+|[^\w\s]|\n", data))
    if not words:
        return rng.choice(TOKENS).encode()
    word = rng.choice(words)
    way = rng.randrange(5)
    if way == 0:
        put = rng.choice(TOKENS).encode()
    elif way == 1:
        put = rng.choice(words)[0]
    elif way == 2:
        put = b""
    elif way == 3:
        put = word[0] + b" " + rng.choice(words)[0]
    else:
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        lines[at : at + 1] = rng.choice(
            ([], [lines[at]] * 2, [lines[at]] * 200, [rng.choice(lines)], [lines[at], rng.choice(lines)])
        )
        return b"\n".join(lines)
    return data[: word.start()] + put + data[word.end() :]


def _changed_json(root: Any, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(root))
        if not places:
            return json.dumps(rng.choice(VALUES)).encode()
        holder, key = rng.choice(places)
        way = rng.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1:
            other, name = rng.choice(places)
            with suppress(KeyError, IndexError):
                holder[key] = json.loads(json.dumps(other[name]))
        elif way == 2 and isinstance(holder, list):
            holder.extend(deepcopy(holder[key]) for _ in range(rng.choice((1, 3, 100))))
        elif way == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice(
                (holder[key] + 1, -holder[key], holder[key] * 1000, holder[key] // 2, str(holder[key]))
            )
        elif way == 4 and isinstance(holder, dict):
            holder[rng.choice(("", "a", "é", key + key))] = holder.pop(key)
        else:
            holder[key] = deepcopy(rng.choice(VALUES))
    return json.dumps(root).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def _changed_zip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change what is inside, so that the sums of the archive are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for _ in range(rng.choice((1, 1, 2))):
        if not members:
            break
        at = rng.randrange(len(members))
        name, content = members[at]
        way = rng.randrange(8)
        if way == 0:
            del members[at]
        elif way == 1:
            members[at] = (
                rng.choice(("x", "a.npy", "../a.npy", "/a.npy", name + "/", "é.npy", rng.choice(members)[0])),
                content,
            )
        elif way == 2:
            members[at] = name, rng.choice(members)[1]
        elif way == 3:
            members.append((name, content))
        elif way == 4:
            members[at] = name, _changed_text(content, rng)
        else:
            members[at] = name, _changed_bytes(content, [c for _, c in members], rng)
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", rng.choice((0, 0, 8))) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


# ---- one file


class Judge:
    """Reads files in this process, and writes down what must not be."""

    def __init__(self, target: Target, folder: Path, out: Path):
        from audio2face.problems import UserError

        self.target, self.out, self.clear = target, out, (ValueError, UserError)
        self.path = folder / "stranger" / target.file
        self.path.parent.mkdir(parents=True)
        for name, content in target.beside(folder).items():
            (self.path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path.parent / name).write_bytes(content)
        self.count = self.values = 0
        self.counts = (out / "counts").open("wb", buffering=0)

    def judge(self, data: bytes) -> None:
        """Read one file."""
        self.path.write_bytes(data)
        self.count += 1
        os.pwrite(self.counts.fileno(), struct.pack("<qq", self.count, self.values), 0)
        faults, is_value = self.read()
        self.values += is_value
        if faults and os.environ.pop(INSIDE, None):
            faults, _ = self.read()
            os.environ[INSIDE] = "1"
        for fault in faults:
            self.write_down(fault, data)

    def read(self) -> tuple[list[str], bool]:
        """What is wrong with how the file is read, and whether it gives a value."""
        faults, is_value = [], False
        signal.setitimer(signal.ITIMER_REAL, HANGS_S)  # a thread that waits would cost more than a file
        _forget_peak()
        before, start = _peak(), time.process_time()
        try:
            self.target.read(self.path)
            is_value = True
        except self.clear as error:
            text = "\n".join(getattr(error, "lines", [str(error)]))
            if self.path.name not in text and "stranger" not in text:
                faults.append(f"names no file: {type(error).__name__}: {_place(error)}")
        except Exception as error:
            faults.append(f"{type(error).__name__}: {_place(error)}")
        took, grew = time.process_time() - start, _peak() - before
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.count > 1:  # the first one imports what it needs
            faults += ["takes more than 2 s"] if took > MOST_S else []
            faults += ["takes more than 200 MB"] if grew > MOST_BYTES else []
        return faults, is_value

    def write_down(self, what: str, data: bytes) -> None:
        """Keep the smallest file of each kind."""
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in what)[:150]
        path = self.out / "found" / name
        if not path.is_file() or path.stat().st_size > len(data):
            path.write_bytes(data)
            (self.out / "found" / f"{name}.txt").write_text(what, encoding="utf-8")


def _place(error: BaseException) -> str:
    """The innermost line of this project that an error came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/audio2face/" in f.filename]
    return f"{frames[-1].filename.rpartition('/audio2face/')[2]}:{frames[-1].name}" if frames else "outside"


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most memory that this process has held since `_forget_peak`, in bytes."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
    return 0


# ---- campaigns


def child(name: str, runs: int, seed: int, out: Path, way: str) -> None:
    """Read `runs` changed files, or ("again") that of the standard input as programs do; what is found goes to `out`."""
    import logging

    logging.disable(logging.CRITICAL)
    faulthandler.register(signal.SIGALRM, chain=True)  # says where, then ends the process
    warnings.simplefilter("ignore")
    if way == "guided":
        import atheris

        with atheris.instrument_imports(include=["audio2face"]):
            target = targets()[name]
    else:
        target = targets()[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seeds = target.seeds(folder)
        judge = Judge(target, folder, out)
        judge.judge(seeds[0])
        if way == "again":
            judge.judge(sys.stdin.buffer.read())
            return
        os.environ[INSIDE] = "1"
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
        for data in seeds:
            judge.judge(data)
        if judge.values != len(seeds) + 1:
            judge.write_down("a seed is refused", seeds[0])
        from fakes.fuzz_seeds import BROKEN

        corpus = [*seeds, *(make(folder) for make in BROKEN.get(name, ()))]
        for data in corpus[len(seeds) :]:
            judge.judge(data)
        if way == "guided":
            _guided(judge, corpus, runs, seed, folder)
        rng = random.Random(seed)
        for _ in range(runs):
            judge.judge(changed(rng.choice(corpus), corpus, target.kind, rng))


def _guided(judge: Judge, seeds: list[bytes], runs: int, seed: int, folder: Path) -> None:
    """By coverage; does not return."""
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / str(number)).write_bytes(data)
    rng = random.Random(seed)

    def mutator(data: bytes, most: int, number: int) -> bytes:
        if rng.random() < 0.5:
            return atheris.Mutate(data, most)
        return changed(data or seeds[0], seeds, judge.target.kind, rng)[:most]

    options = [
        f"-atheris_runs={runs}",
        f"-seed={seed or 1}",
        "-max_len=100000",
        "-rss_limit_mb=0",
        "-handle_alrm=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], judge.judge, custom_mutator=mutator)
    atheris.Fuzz()


def campaign(name: str, runs: int, seed: int = 0, guided: bool = False) -> Result:
    """Read `runs` changed files of a kind in children; one that hangs or dies is followed by another."""
    result = Result()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        (out / "found").mkdir()
        for death in range(MOST_DEATHS):
            left, way = runs - result.executions, "guided" if guided else "changed"
            ended, last = _run([name, str(left), str(seed + 1000 * death), str(out), way], out)
            counts = (out / "counts").read_bytes() if (out / "counts").is_file() else b""
            count, values = struct.unpack("<qq", counts) if len(counts) == 16 else (0, 0)
            result.executions, result.values = result.executions + count, result.values + values
            if not ended:
                break
            again, _ = _run([name, "0", "0", str(out), "again"], out, last)
            if again or not count:
                result.found[again or ended] = last
            if not count:
                break
        for path in (out / "found").glob("*.txt"):
            result.found[path.read_text(encoding="utf-8")] = path.with_suffix("").read_bytes()
    return result


def _run(arguments: list[str], out: Path, given: bytes = b"") -> tuple[str, bytes]:
    """How a child ended that should not have, and the file that it read; nothing for one that went well."""
    room = out / "room"
    room.mkdir()
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "fakes.fuzz", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(room), "PYTHONPATH": os.pathsep.join(paths)},
        input=given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    files = [path for path in room.glob("*/stranger/**/*") if path.is_file()]
    last = max(files, key=lambda path: path.stat().st_mtime_ns).read_bytes() if done.returncode and files else b""
    shutil.rmtree(room)
    if not done.returncode:
        return "", b""
    told = done.stderr.decode(errors="replace")
    what = "hangs" if done.returncode == -signal.SIGALRM else f"ends the process ({done.returncode})"
    frames = [line.strip() for line in told.splitlines() if "/audio2face/" in line]
    return f"{what}: {frames[0].rpartition('/audio2face/')[2] if frames else told.strip()[-300:]}", last


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
