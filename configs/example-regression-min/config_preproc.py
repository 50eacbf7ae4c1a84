"""Preprocessing of the Claire data set with sound and skin only: all defaults."""

RUN_NAME = "example-min"
