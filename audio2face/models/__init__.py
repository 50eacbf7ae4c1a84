"""Model families, a folder each: `regression` and `diffusion`, over what they share in `common`."""
