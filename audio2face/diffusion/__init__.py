"""Denoising diffusion: noise schedules, kept steps and samplers."""
