"""Every config key, its default, what it may be and its manual: one module for each config file.

A project overrides single keys in `configs/<project>/config_*.py`. A key is annotated with its kind from
`audio2face.config.kinds` (a dict with its model from `audio2face.config.nested`), which checks what a project gives.
A comment block that starts with `##` is a heading; the comment above a key (or above an entry of a dict) is its
documentation, where the line `Type:` gives type, unit and range and the line `Change:` says when to touch it.
`tools/config_reference.py` turns these comments into docs/config_details.md. A key that both methods share is written
once, in a `_common` module, and imported at its place among the others.
"""
