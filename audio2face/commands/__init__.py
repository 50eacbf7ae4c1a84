"""The four commands. Only these read config sections; each returns the full name of the run it made or used."""
