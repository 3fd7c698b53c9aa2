"""Writes text as a string literal of SQL, for statements that are composed long before they run."""


def literal(text: str) -> str:
    """Write a literal that means the same whatever standard_conforming_strings is."""
    quoted = "'" + text.replace("'", "''") + "'"
    return quoted if "\\" not in text else "E" + quoted.replace("\\", "\\\\")
