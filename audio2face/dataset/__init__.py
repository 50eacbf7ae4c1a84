"""An actor's captured data: files, caches, shots, clips, targets and conditions, and what is wrong with them."""
