"""Coloring of pictures, folders and films with a trained network."""
