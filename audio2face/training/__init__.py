"""The training loop and what it needs: progress, distribution, precision, validation, previews, resuming."""
