"""Preprocessing of the demo data set."""

RUN_NAME = "demo"

# The demo's head is small and smooth: keep fewer of its poses than of a captured face.
SKIN_SELECT_DISTINCT_MAX_ITER = 200
