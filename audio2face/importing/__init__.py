"""Recordings of other programs become the data set of an actor, and a project that trains on it. No PyTorch here."""
