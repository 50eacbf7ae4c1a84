"""What the families share: encoders of speech, layers, distances, inputs."""
