"""Importers: recordings of other programs become an actor's data set and a project that trains on it. No PyTorch."""
