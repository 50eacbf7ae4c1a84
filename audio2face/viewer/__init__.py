"""Faces in a browser: shots with their sound, truth beside prediction, and deployed models that run while one watches."""
