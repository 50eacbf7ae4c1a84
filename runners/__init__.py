"""Starts commands: `launch` on the user's machine, `cli` where the packages are, and one thin module per command."""
