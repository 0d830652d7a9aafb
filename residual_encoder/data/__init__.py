"""From files to batches: sources, decoding, augmentation, shards."""
