"""Every config key, its default and its manual: one module for each config file.

A project overrides single keys in `configs/<project>/config_*.py`. In the modules here a comment block that starts
with `##` is a heading; the comment above a key (or above an entry of a dict) is its documentation, where the line
`Type:` gives type, unit and range and the line `Change:` says when to touch it. `tools/config_reference.py` turns these
comments into docs/config_details.md.
"""
