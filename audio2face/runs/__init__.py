"""Folders of runs: what preprocessing and training leave, locks, manifests, checkpoints, what has changed since."""
