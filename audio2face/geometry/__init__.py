"""Functions on vertex positions: poses (T, V, 3), components and rigid motion. NumPy and SciPy only."""
