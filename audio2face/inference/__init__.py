"""Deployed models in Python with nothing but NumPy, onnxruntime and soundfile: whole files, or sound as it arrives."""

from audio2face.inference.face_animation import Animation
from audio2face.inference.model import Model, load_model
from audio2face.inference.session import Session, feed_together, finish_together

__all__ = ["Animation", "Model", "Session", "feed_together", "finish_together", "load_model"]
