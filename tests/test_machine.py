"""Cores by quota and affinity, and what started processes find in their environment."""

import json
import os
import subprocess
import sys

import pytest

from audio2face import machine
from audio2face.paths import FRAMEWORK_ROOT
from audio2face.problems import UserError

THREADS = ("A2F_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", machine.COUNTED)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    """Eight cores, and none of the settings."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def system(tmp_path):
    """system(groups of the process, {file: text}): a folder that looks like /."""

    def write(groups, files):
        for name, text in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {f"{V2}/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {f"{V2}/cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {f"{V2}/cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {f"{V2}/cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {f"{V2}/cpu.max": "1600000 100000\n"}, 8),
        ("0::/a/b\n", {f"{V2}/a/cpu.max": "300000 100000\n", f"{V2}/a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/a/b\n", {f"{V2}/a/cpu.max": "300000 100000\n", f"{V2}/a/b/cpu.max": "400000 200000\n"}, 2),
        ("0::/docker/host/only\n", {f"{V2}/cpu.max": "400000 100000\n"}, 4),
        (
            "5:memory:/m\n4:cpu,cpuacct:/x\n",
            {f"{V1}/x/cpu.cfs_quota_us": "300000\n", f"{V1}/x/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/host\n0::/\n",
            {f"{V1}/cpu.cfs_quota_us": "50000\n", f"{V1}/cpu.cfs_period_us": "50000\n"},
            1,
        ),
        (
            "1:cpu:/\n",
            {f"{V2}/cpu/cpu.cfs_quota_us": "-1\n", f"{V2}/cpu/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("4:cpu:/\n0::/a\n", {f"{V2}/unified/a/cpu.max": "500000 100000\n"}, 5),
        ("nonsense\n", {f"{V2}/cpu.max": "\n"}, 8),
    ],
)
def test_cores_follow_the_quota_of_the_control_group(system, groups, files, cores):
    assert machine.granted_cores(system(groups, files)) == cores


MEMINFO = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  4000 kB\n"}
V2_LIMIT = {f"{V2}/a/memory.max": "3000000\n", f"{V2}/a/memory.current": "2000000\n", f"{V2}/a/memory.stat": "anon 5\n"}


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", MEMINFO, 4096000),
        ("0::/a\n", MEMINFO | V2_LIMIT, 1000000),
        ("0::/a/b\n", MEMINFO | V2_LIMIT | {f"{V2}/a/memory.stat": "inactive_file 500\nactive_file 7\n"}, 1000507),
        ("0::/a\n", MEMINFO | V2_LIMIT | {f"{V2}/a/memory.max": "max\n"}, 4096000),
        ("0::/a\n", MEMINFO | V2_LIMIT | {f"{V2}/a/memory.max": "1000000\n"}, 0),
        (
            "3:memory:/m\n",
            MEMINFO
            | {f"{V2}/memory/m/memory.limit_in_bytes": "70000\n", f"{V2}/memory/m/memory.usage_in_bytes": "50000\n"},
            20000,
        ),
    ],
)
def test_free_memory_follows_the_limit_of_the_control_group(system, groups, files, free):
    assert machine.free_memory(system(groups, files)) == free


def test_cores_follow_the_affinity_where_there_is_no_quota(tmp_path, monkeypatch):
    assert machine.granted_cores(tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6})
    assert machine.granted_cores(tmp_path) == 3


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "two", "1025", "٣x"])
def test_a_bad_number_of_threads_is_named(monkeypatch, text):
    monkeypatch.setenv("A2F_THREADS", text)
    with pytest.raises(UserError, match=f"A2F_THREADS={text}: expected a whole number from 1 to 1024"):
        machine.num_cores()
    with pytest.raises(UserError, match="A2F_THREADS"):
        machine.set_up({})


def test_requested_threads_take_precedence(monkeypatch):
    monkeypatch.setattr(machine, "granted_cores", lambda: 8)
    assert (machine.num_cores(), machine.thread_limit(), machine.pool_size()) == (8, 0, 4)
    monkeypatch.setenv("A2F_THREADS", " 3 ")
    assert (machine.num_cores(), machine.thread_limit(), machine.pool_size()) == (3, 3, 3)
    monkeypatch.setenv("A2F_THREADS", "")
    assert machine.num_cores() == 8


def test_threads_sleep_and_are_no_more_than_granted(monkeypatch):
    environ = {}
    monkeypatch.setattr(machine, "granted_cores", lambda: 8)
    machine.set_up(environ)
    assert environ == {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    monkeypatch.setattr(machine, "granted_cores", lambda: 2)
    machine.set_up(environ)
    assert environ["OMP_NUM_THREADS"] == "2"


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setattr(machine, "granted_cores", lambda: 2)
    own = {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "5"}
    environ = dict(own)
    machine.set_up(environ)
    assert environ == own
    assert own.items() <= machine.child_environment(2, environ).items()
    assert "KMP_BLOCKTIME" not in machine.child_environment(2, environ)


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(machine, "granted_cores", lambda: 4)
    environ = {}
    machine.set_up(environ)
    child = machine.child_environment(2, environ)
    assert {child[name] for name in ("OMP_NUM_THREADS", "A2F_THREADS")} == {"2"}
    assert child["OMP_WAIT_POLICY"] == "PASSIVE"
    assert machine.child_environment(9, environ)["OMP_NUM_THREADS"] == "1"


SHOW = """
import sys
from runners.cli import answer

def program():
    loaded = sorted({"numpy", "torch", "onnxruntime"} & set(sys.modules))
    import json, os, torch
    print(json.dumps([loaded, torch.get_num_threads(), dict(os.environ)]))
    return 0

sys.exit(answer(program))
"""


def started(**settings):
    """A program started beside the commands, with the settings that it is given."""
    environ = {name: value for name, value in os.environ.items() if name not in THREADS}
    argv = [sys.executable, "-c", SHOW]
    return subprocess.run(
        argv, env={**environ, **settings}, cwd=FRAMEWORK_ROOT, capture_output=True, text=True, timeout=120
    )


def test_a_started_program_is_set_up_before_its_libraries_load():
    loaded, threads, environ = json.loads(started(A2F_THREADS="1").stdout)
    assert loaded == [] and threads == 1
    assert (environ["OMP_WAIT_POLICY"], environ["OMP_NUM_THREADS"]) == ("PASSIVE", "1")
    failed = started(A2F_THREADS="many")
    assert failed.returncode == 2 and failed.stderr.startswith("error: A2F_THREADS=many: expected a whole number")
    assert "Traceback" not in failed.stderr


def test_an_onnxruntime_session_takes_the_threads(monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(machine, "granted_cores", lambda: 8)
    assert machine.session_options().intra_op_num_threads == 0  # as many as it finds cores
    monkeypatch.setenv("A2F_THREADS", "3")
    assert machine.session_options().intra_op_num_threads == 3
    assert machine.session_options(2).intra_op_num_threads == 2
    assert machine.session_options().get_session_config_entry("session.intra_op.allow_spinning") == "0"
