"""Regression: a window of speech to a face, one frame at a time."""
