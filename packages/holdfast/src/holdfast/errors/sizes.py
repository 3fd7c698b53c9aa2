"""Sizes and counts as people read them, printed in a message: 12.5 GB, 1 standby, 2 standbys."""

UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def size_in_words(size: int) -> str:
    """Write bytes in the largest unit of which there is at least one, with three digits."""
    for name, unit in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def counted(number: int, one: str, many: str) -> str:
    """Write a number with its noun, in the singular for one."""
    return f"{number:,} {one if number == 1 else many}"
