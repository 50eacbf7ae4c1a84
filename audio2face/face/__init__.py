"""The face as numbers: its channels, how they are normalised and decoded, its blendshapes and its triangles."""
