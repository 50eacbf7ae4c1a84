"""Preprocessing of the demo conversation: what the columns of face, head and body are, and how much they move."""

RUN_NAME = "demo-conversation"
