"""Diffusion: animation of whole segments, denoised given its sound."""
