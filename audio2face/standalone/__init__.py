"""Deployed models in Python with nothing but NumPy, onnxruntime and soundfile: whole files, or sound as it arrives."""

from audio2face.standalone.animation import Animation
from audio2face.standalone.model import Model, load_model
from audio2face.standalone.session import Session

__all__ = ["Animation", "Model", "Session", "load_model"]
