"""The images of a run: files, splits, the scan before training, decoded pixels and their cache."""
