"""The face as numbers: its channels, how they are normalised and decoded, and its triangles."""
