"""Clips and their numbers: which frames train, with which sound, targets and conditions."""
