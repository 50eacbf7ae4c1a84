"""`evaluate` under a debugger: edit `args`, then start "Debug Evaluation" in VSCode."""

from types import SimpleNamespace

from runners.cli import execute

args = SimpleNamespace(
    config_name="demo-regression",  # your config
    training_run_name_full="latest",  # or a full run name
)

if __name__ == "__main__":
    execute("evaluate", args)
