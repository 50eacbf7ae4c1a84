"""Functions in a process of their own: what comes back, and what ends them."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from audio2face import confined as room
from audio2face.confined import confined
from audio2face.paths import FRAMEWORK_ROOT
from audio2face.problems import UserError

WAITS = """
import time
from audio2face import confined as room
room.prepare([])
print(room._readers[0].process.pid, flush=True)
room.confined(time.sleep, 60)
"""


def test_values_come_back_as_they_are():
    value = {
        "a": [1, 2.5, None, "ä"],
        "b": np.arange(6, dtype=np.int16).reshape(2, 3),
        "c": np.zeros((0, 3), np.float32),
    }
    arrays = []
    back = room._filled(room._emptied(value, arrays), arrays)
    assert back["a"] == value["a"]
    for name in ("b", "c"):
        assert back[name].dtype == value[name].dtype and np.array_equal(back[name], value[name])
    assert confined(json.loads, '{"a": [1, null]}') == {"a": [1, None]}
    assert np.array_equal(confined(np.linspace, 0, 1, 50_001), np.linspace(0, 1, 50_001))


def test_errors_come_back_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.wav"):
        confined(os.stat, str(tmp_path / "nothing.wav"))
    with pytest.raises(ValueError, match="Expecting value"):
        confined(json.loads, "x")
    with pytest.raises(RuntimeError, match="Traceback"):
        confined(json.loads, 1)


def test_limits_and_faults_end_the_call_alone(monkeypatch):
    monkeypatch.setenv(room.SECONDS, "0.3")
    with pytest.raises(ValueError, match="longer than 0.3 s"):
        confined(time.sleep, 60)
    monkeypatch.setenv(room.SECONDS, "60")
    with pytest.raises(ValueError, match="SIGSEGV"):
        confined(ctypes.string_at, 0)
    monkeypatch.setenv(room.MEMORY_GB, "2")
    with pytest.raises(MemoryError, match="more memory than 2 GB"):
        confined(np.ones, 500_000_000)
    assert confined(json.loads, "1") == 1


def test_a_limit_that_is_none(monkeypatch):
    monkeypatch.setenv(room.MEMORY_GB, "much")
    with pytest.raises(UserError, match="A2F_READER_MEMORY_GB=much"):
        confined(json.loads, "1")


@pytest.mark.parametrize("dtype, shape", [("|O", [1]), ("<f4", [-1, -1]), ("<f8", [1 << 40])])
def test_answers_of_a_library_that_was_taken_over(dtype, shape):
    with pytest.raises(ValueError, match="not among"):
        room._array(None, 1 << 30, dtype, shape)


def test_a_reader_that_was_prepared_answers():
    room._close()
    room.prepare(["json", "no_such_module"])
    prepared = room._readers[0].process.pid
    assert confined(os.getppid) == prepared


def test_the_next_call_begins_when_the_one_before_has_ended():
    first = confined(os.getpid)
    confined(json.loads, "1")
    assert not os.path.exists(f"/proc/{first}")


def test_no_module_comes_from_the_folder_that_a_program_runs_in(tmp_path):
    (tmp_path / "stranger.py").write_text("open('ran', 'w').close()")
    program = "from audio2face.confined import confined; print(confined(len, 'abc', load=['stranger']))"
    paths = {**os.environ, "PYTHONPATH": str(FRAMEWORK_ROOT)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=paths, capture_output=True, text=True)
    assert done.stdout == "3\n" and not (tmp_path / "ran").exists(), done.stderr


def test_a_fork_of_this_process_has_a_reader_of_its_own():
    assert confined(os.getppid) == room._readers[0].process.pid
    child = os.fork()
    if not child:
        os._exit(confined(os.getppid) != room._readers[0].process.pid)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert confined(json.loads, "1") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_call_ends_with_the_program(number):
    """With Ctrl-C at once, and nothing is left behind."""
    process = subprocess.Popen([sys.executable, "-c", WAITS], cwd=FRAMEWORK_ROOT, stdout=subprocess.PIPE, text=True)
    reader = int(process.stdout.readline())
    children = f"/proc/{reader}/task/{reader}/children"
    deadline = time.monotonic() + 20
    while not open(children).read() and time.monotonic() < deadline:
        time.sleep(0.01)
    waiting = int(open(children).read())
    process.send_signal(number)
    assert process.wait(20) != 0
    process.stdout.close()
    if number == signal.SIGKILL:  # nobody could tell it: its limit of time ends it
        os.kill(waiting, signal.SIGALRM)
    while os.path.exists(f"/proc/{reader}") and _state(reader) != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{waiting}") or _state(waiting) == "Z"
    assert not os.path.exists(f"/proc/{reader}") or _state(reader) == "Z"


def _state(process):
    try:
        return open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
