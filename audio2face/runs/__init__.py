"""Folders of runs: what a preprocessing or training run holds, its lock, its checkpoints, what has changed since."""
