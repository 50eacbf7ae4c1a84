"""From an actor's captured meshes to bases, coefficients, scales and the list of clips."""
