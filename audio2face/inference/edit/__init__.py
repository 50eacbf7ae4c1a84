"""Animations that are edited: what stays is copied from their files, the rest is made anew from the sound."""
