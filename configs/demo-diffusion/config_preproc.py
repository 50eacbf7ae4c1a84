"""Preprocessing of the demo data set."""

RUN_NAME = "demo"

# The demo's head is small and smooth: keep fewer of its poses than of a captured face.
SKIN_SELECT_DISTINCT_MAX_ITER = 200

# Blinks and gaze move little skin: keep enough components that lids close and lips meet to a few tenths of a millimetre.
SKIN_PCA_VARIANCE_THRESHOLD = 0.9999
