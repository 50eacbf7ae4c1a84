"""`train` under a debugger: edit `args`, then start "Debug Training" in VSCode."""

from types import SimpleNamespace

from runners.cli import execute

args = SimpleNamespace(
    config_name="demo-regression",  # your config
)

if __name__ == "__main__":
    execute("train", args)
