"""Functions that run in a process of their own, with limits of memory and time: libraries read strangers' files there.

The first call starts a reader, a process that loads what functions need and never looks at a file; each call is a fork of it,
which ends at its limits and with Ctrl-C. Answers are JSON and plain arrays, so that a library that was taken over can say nothing
else. Where processes cannot fork (not on Linux), or no Python can be started (inside another program), functions run here.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from audio2face.machine import child_environment
from audio2face.paths import FRAMEWORK_ROOT
from audio2face.problems import UserError

MEMORY_GB, SECONDS = "A2F_READER_MEMORY_GB", "A2F_READER_SECONDS"  # of the environment: limits of one call
LIMITS = {MEMORY_GB: 8.0, SECONDS: 600.0}
LENGTH = struct.Struct("<Q")
MOST_HEADER = 1 << 28  # bytes of JSON
INSIDE = "A2F_READER"  # of the environment: this is such a process


def confined(function: Callable[..., Any], *arguments: Any, load: Sequence[str] = ()) -> Any:
    """function(*arguments) in a process of its own.

    The function is one of a module of this package, and arguments are what JSON holds. It returns the same, and arrays of
    numbers; tuples come back as lists. `load` are modules that are imported once for all calls. Raises what the function raises of
    UserError, ValueError, OSError and MemoryError; ValueError when it ended its process or took too long, with the first argument,
    which as a rule is a file; RuntimeError with the traceback of anything else.
    """
    limits = {name: _limit(name) for name in LIMITS}
    if not _can_fork():
        return function(*arguments)
    request = {"module": function.__module__, "function": function.__name__, "arguments": arguments}
    request["load"] = [*load, function.__module__]
    with _reader(request["load"]) as reader:
        answer, arrays = reader.ask(json.dumps(request | limits).encode(), int(limits[MEMORY_GB] * 1e9))
    if "error" in answer:
        raise _error(answer, limits, arguments[0] if arguments else function.__name__)
    return _filled(answer["value"], arrays)


def prepare(load: Sequence[str]) -> None:
    """Start the process that calls are forks of, which loads these modules while this one goes on."""
    if _can_fork():
        with _reader(load):
            pass


def _limit(name: str) -> float:
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else LIMITS[name]
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise UserError(f"{name}={text}: expected a number above 0")
    return value


def _can_fork() -> bool:
    python = "python" in os.path.basename(sys.executable or "").lower()
    return sys.platform == "linux" and python and INSIDE not in os.environ


@dataclass
class _Reader:
    """The process that calls are forks of, and the socket to it; `owner` is the process that started it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    owner: int
    ending: bool = False  # a call that has answered, whose end was not waited for

    def ask(self, request: bytes, most_bytes: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a request, and its arrays."""
        ours, theirs = socket.socketpair()
        with ours:
            if self.ending:
                self._end()
            with theirs:
                socket.send_fds(self.control, [LENGTH.pack(len(request))], [theirs.fileno()])
                self.control.sendall(request)
            answer, arrays = None, []
            try:
                answer = json.loads(_exactly(ours, _number(ours, MOST_HEADER)))
                arrays = [_array(ours, most_bytes, **meta) for meta in answer.pop("arrays")]
            except EOFError:
                answer = None
        self.ending = answer is not None  # giving back its memory takes a while
        return answer or {"error": "ended", "text": self._end()}, arrays

    def _end(self) -> int:
        """Wait for the end of a call; returns the signal that ended it, or 0."""
        try:
            return _number(self.control)
        except EOFError:  # the reader as well
            return int(signal.SIGKILL)

    def close(self) -> None:
        """End the process and a call that is left in it."""
        self.control.close()
        if self.owner == os.getpid():
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


_lock = threading.Lock()
_readers: list[_Reader] = []


@contextmanager
def _reader(load: Sequence[str]) -> Iterator[_Reader]:
    """This process's reader, for one call at a time; one that a call left unfinished is ended."""
    with _lock:
        if _readers and (_readers[0].owner != os.getpid() or _readers[0].process.poll() is not None):
            _close()
        if not _readers:
            _readers.append(_start(load))
        try:
            yield _readers[0]
        except BaseException:
            _close()
            raise


def _start(load: Sequence[str]) -> _Reader:
    ours, theirs = socket.socketpair()
    with theirs:
        life = f"import gc, sys; gc.disable(); sys.path[:] = {_places()!r}; from audio2face.confined import serve"
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", f"{life}; serve({theirs.fileno()}, {list(load)!r})"],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # for libraries that print
            process_group=0,  # Ctrl-C comes to its owner, who ends it
            env={**child_environment(1), INSIDE: "1", "PYTHONSAFEPATH": "1"},
        )
    return _Reader(process, ours, os.getpid())


def _places() -> list[str]:
    """Where a reader finds modules: as this process, but not in the folder that it runs in, which may be a stranger's."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    return [str(FRAMEWORK_ROOT), *(place for place in sys.path if place and os.path.abspath(place) != here)]


@atexit.register
def _close() -> None:
    while _readers:
        _readers.pop().close()


def _error(answer: dict[str, Any], limits: dict[str, float], where: object) -> Exception:
    kind, text = answer["error"], answer["text"]
    if kind == "ended":
        if text == signal.SIGALRM:
            return ValueError(f"{where}: reading it takes longer than {limits[SECONDS]:g} s ({SECONDS})")
        return ValueError(
            f"{where}: the library that reads it ended with {_signal_name(text)}: a damaged file, or a hostile one"
        )
    if kind == "MemoryError":
        return MemoryError(f"{where}: reading it takes more memory than {limits[MEMORY_GB]:g} GB ({MEMORY_GB})")
    if kind == "OSError":
        return OSError(*text, *([answer["file"]] if len(text) == 2 and answer["file"] else []))
    return {"UserError": UserError, "ValueError": ValueError}.get(kind, RuntimeError)(text)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"status {number}"


def serve(descriptor: int, load: Sequence[str]) -> NoReturn:
    """The reader's life: load what a request needs, fork, let the fork answer, say how it ended; until the socket closes."""
    control = socket.socket(fileno=descriptor)
    _load(load)
    while True:
        try:
            head, files, _, _ = socket.recv_fds(control, LENGTH.size, 1)
            request = json.loads(_exactly(control, *LENGTH.unpack(head)))
        except (EOFError, OSError, struct.error):
            os._exit(0)
        _load(request["load"])
        child = os.fork()
        if not child:
            _answer(control, socket.socket(fileno=files[0]), request)
        os.close(files[0])
        _, status = os.waitpid(child, 0)
        with suppress(OSError):
            control.sendall(LENGTH.pack(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0))


def _load(names: Sequence[str]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            import site  # which takes its time, and knows other ways to install

            site.main()
            with suppress(ImportError):  # what is not installed the function says
                importlib.import_module(name)


def _answer(control: socket.socket, result: socket.socket, request: dict[str, Any]) -> NoReturn:
    """Run the function and end; whatever happens, nothing comes back from here."""
    try:
        control.close()
        gc.enable()
        _confine(request[MEMORY_GB], request[SECONDS])
        arrays: list[np.ndarray] = []
        answer = _run(request, arrays)
        meta = [{"dtype": x.dtype.str, "shape": x.shape} for x in arrays]
        header = json.dumps({**answer, "arrays": meta}).encode()
        result.sendall(LENGTH.pack(len(header)) + header)
        for x in arrays:
            result.sendall(x.reshape(-1).view(np.uint8).data)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _confine(memory_gb: float, seconds: float) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = int(memory_gb * 1e9)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)  # the system ends it, whatever library holds it


def _run(request: dict[str, Any], arrays: list[np.ndarray]) -> dict[str, Any]:
    try:
        function = getattr(importlib.import_module(request["module"]), request["function"])
        return {"value": _emptied(function(*request["arguments"]), arrays)}
    except UserError as error:
        return {"error": "UserError", "text": list(error.lines)}
    except OSError as error:
        return {"error": "OSError", "text": list(error.args), "file": error.filename}
    except (ValueError, MemoryError) as error:
        return {"error": "ValueError" if isinstance(error, ValueError) else "MemoryError", "text": str(error)}
    except Exception:
        return {"error": "RuntimeError", "text": traceback.format_exc()}


def _emptied(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value with its arrays taken out into a list."""
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"": len(arrays) - 1}
    if isinstance(value, dict):
        return {name: _emptied(part, arrays) for name, part in value.items()}
    return [_emptied(part, arrays) for part in value] if isinstance(value, list | tuple) else value


def _filled(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, dict):
        return arrays[value[""]] if "" in value else {name: _filled(part, arrays) for name, part in value.items()}
    return [_filled(part, arrays) for part in value] if isinstance(value, list) else value


def _array(source: socket.socket, most_bytes: int, dtype: str, shape: Sequence[int]) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind not in "biuf" or any(n < 0 for n in shape) or kind.itemsize * float(np.prod(shape)) > most_bytes:
        raise ValueError(f"an array of {dtype} {shape} is not among what a reader answers")
    array = np.empty(tuple(shape), kind)
    _fill(source, array.reshape(-1).view(np.uint8).data)
    return array


def _number(source: socket.socket, most: int = 1 << 62) -> int:
    (value,) = LENGTH.unpack(_exactly(source, LENGTH.size))
    if value > most:
        raise ValueError("a reader's answer is too long")
    return int(value)


def _exactly(source: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    _fill(source, memoryview(data))
    return data


def _fill(source: socket.socket, view: memoryview) -> None:
    """Read until the view is full. Raises EOFError when the other end closes before."""
    while len(view):
        got = source.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
