"""Evaluation: metrics of an animation, each named after its convention, pooled over shots, and a report of them."""
