"""Training: losses, steps, the loop, its folder and several machines."""
