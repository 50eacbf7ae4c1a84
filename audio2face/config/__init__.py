"""What the user sets: base modules with defaults, a project's files over them, the checks of both, and the manual."""

from audio2face.config.base import KINDS
from audio2face.config.load import Section, load_config, project_folder, section_from_values
from audio2face.config.source import DELETE

__all__ = ["DELETE", "KINDS", "Section", "load_config", "project_folder", "section_from_values"]
