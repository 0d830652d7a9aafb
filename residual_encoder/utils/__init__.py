"""Files and devices: helpers that know nothing of colors."""
