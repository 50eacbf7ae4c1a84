"""Preprocessing of the Claire data set: all defaults."""

RUN_NAME = "example"
