"""Folders of runs: what preprocessing and training leave, locks, checkpoints, what has changed since."""
