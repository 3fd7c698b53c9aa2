"""A multi-vendor marketplace back end: the first user of holdfast."""
