"""A made-up machine for tests of the launcher: a checkout with one project, fake tools on PATH, commands without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from runners import arguments

ROOT = Path(__file__).resolve().parents[2]
HOST_FILES = ["run_preproc.py", "run_train.py", "run_deploy.py", "run_inference.py", "run_evaluate.py"]
HOST_FILES += [f"runners/{name}.py" for name in ("__init__", "launch", "docker", "settings", "arguments")]

DOCKER = """#!{python} -S
import json, os, signal, sys, time
argv = sys.argv[1:]
if argv[0] == "info":
    sys.stderr.write(os.environ.get("FAKE_ENGINE_ERROR", ""))
    print(os.environ.get("FAKE_INFO", '{{"ServerVersion": "28", "Runtimes": {{"runc": {{}}}}}}'))
    sys.exit(1 if "FAKE_ENGINE_ERROR" in os.environ else 0)
if argv[:2] == ["image", "inspect"]:
    print(os.environ.get("FAKE_LABELS", "null"))
    sys.exit(1 if "FAKE_NO_IMAGE" in os.environ else 0)
json.dump({{"argv": argv, "environ": dict(os.environ)}}, open(os.environ["FAKE_RECORD"], "w"))
if "FAKE_WAIT" in os.environ:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, frame: os._exit(100 + got))
    print("started", flush=True)
    time.sleep(30)
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""

COMMAND = """
import os, signal, sys, time
from audio2face.problems import UserError

def run(config_name, actor=None, **more):
    print("ran", config_name, actor, more, os.environ.get("A2F_DATASETS_ROOT"), flush=True)
    if actor == "mistaken":
        raise UserError(["config_dataset.py: CACHE_FPS is wrong", "shot a: no sound"])
    if actor == "broken":
        return {}["no such key"]
    if str(actor).startswith("signal"):
        exec(f"import os; os.kill(os.getpid(), {actor[7:]})")
    if str(actor).startswith("class"):
        set_name = lambda part, owner, name: os.kill(os.getpid(), int(actor[6:]))
        type("Owner", (), {"part": type("Part", (), {"__set_name__": set_name})()})
    if str(actor).startswith("library"):
        try:
            os.kill(os.getpid(), int(actor[8:]))
        except BaseException:
            raise ImportError("a part of the library is missing")
    if actor == "full":
        raise OSError(28, "No space left on device", "/workspace/x")
    if actor in ("slow", "saving"):
        try:
            print("started", flush=True)
            time.sleep(30)
        except KeyboardInterrupt:
            if actor == "slow":
                raise
            print("saved", flush=True)
    return "250909_135508_example"
"""


class Machine:
    """A made-up machine: a checkout with one project, a PATH with only the fake tools, a data set and a workspace."""

    def __init__(self, root: Path):
        self.root = root
        self.checkout, self.bin = root / "checkout", root / "bin"
        for name in HOST_FILES + ["runners/cli.py", *(f"runners/run_{name}.py" for name in arguments.COMMANDS)]:
            self.write(self.checkout / name, (ROOT / name).read_text())
        for name in ("Dockerfile", "requirements.py", "build_docker.sh"):
            self.write(self.checkout / "docker" / name, (ROOT / "docker" / name).read_text())
        self.write(self.checkout / "constraints.txt", "torch==2.13.0\n")
        self.write(self.checkout / "configs/my-project/config_train.py", "")
        self.write(self.checkout / "configs/tables/clips.csv", "")
        self.tool("docker", DOCKER.format(python=sys.executable))
        self.record = root / "record.json"
        (root / "datasets").mkdir()
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(root / "home"),
            "USER": "tester",
            "FAKE_RECORD": str(self.record),
            "A2F_DATASETS_ROOT": str(root / "datasets"),
            "A2F_WORKSPACE_ROOT": str(root / "workspace"),
        }

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tool(self, name: str, text: str) -> None:
        self.write(self.bin / name, text)
        (self.bin / name).chmod(0o755)

    def fake_commands(self) -> None:
        """Commands that need no torch, behind the real runners and command line."""
        package = self.checkout / "audio2face"
        for name in ("types.py", "paths.py", "problems.py", "machine.py"):
            self.write(package / name, (ROOT / "audio2face" / name).read_text())
        self.write(package / "__init__.py", "")
        self.write(package / "runtime.py", "def setup_logging(): pass\n")
        self.write(package / "commands/__init__.py", "")
        for name in ("preproc", "preproc_actors", "train", "deploy", "infer"):
            self.write(package / f"commands/{name}.py", COMMAND)

    def start(self, *argv: str, python: tuple[str, ...] = (), **options: object) -> subprocess.Popen[str]:
        script, *rest = argv
        return subprocess.Popen(
            [sys.executable, *python, str(self.checkout / script), *rest],
            env=self.environ, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip

    def run(self, *argv: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, python=python)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def recorded(self) -> list[str]:
        return json.loads(self.record.read_text())["argv"]
