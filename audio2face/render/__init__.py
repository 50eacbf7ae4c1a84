"""Software rendering: meshes to pictures and videos, without a graphics card or a display."""

from audio2face.render.openings import fill_openings
from audio2face.render.raster import Camera, Mesh, auto_camera, render, render_animation
from audio2face.render.video import contact_sheet, side_by_side, write_video

__all__ = [
    "Camera",
    "Mesh",
    "auto_camera",
    "contact_sheet",
    "fill_openings",
    "render",
    "render_animation",
    "side_by_side",
    "write_video",
]
