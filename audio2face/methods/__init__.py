"""Ways of training: each meets `training.Method`."""
