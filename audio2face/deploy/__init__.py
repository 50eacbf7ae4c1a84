"""The deployed model: exported networks, their signature, the folder that the runtime loads, and its checks."""
