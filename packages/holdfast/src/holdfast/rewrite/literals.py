"""Text as a string literal of SQL, for statements that are written down long before they run."""


def literal(text: str) -> str:
    """The same whatever standard_conforming_strings is."""
    quoted = "'" + text.replace("'", "''") + "'"
    return quoted if "\\" not in text else "E" + quoted.replace("\\", "\\\\")
