"""Synthetic scenes."""
import numpy as np
def render(seed,index,size):
    return np.random.default_rng((seed,index)).integers(0,255,(size,size,3)).astype(np.uint8)
