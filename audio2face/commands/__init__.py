"""The commands, a module each: read the config, build, run, report. Each returns the full name of the run it made."""
