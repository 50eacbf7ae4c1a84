"""Preprocessing of the demo data set's curves: what their columns are, and how much they move."""

RUN_NAME = "demo-curves"
