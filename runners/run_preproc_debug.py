"""`preproc` under a debugger: edit `args`, then start "Debug Preprocessing" in VSCode."""

from types import SimpleNamespace

from runners.cli import execute

args = SimpleNamespace(
    config_name="demo-regression",  # your config
    actor_name="demo",  # your actor
)

if __name__ == "__main__":
    execute("preproc", args)
