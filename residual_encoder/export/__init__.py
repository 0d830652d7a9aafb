"""A trained model for other programs: SavedModel, TensorFlow Serving, LiteRT, weights."""
