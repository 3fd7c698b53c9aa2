"""Sizes as people read them: 12.5 GB, printed in a message."""

UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def size_in_words(size: int) -> str:
    """Write bytes in the largest unit of which there is at least one, with three digits."""
    for name, unit in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"
