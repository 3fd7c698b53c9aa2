"""Collects custom settings (app.scope) that a project's env.py sets: the server does not list them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

# Not by the parser, which a run on an empty database does not load.
SET = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*set\b", re.IGNORECASE | re.DOTALL)
NAME = re.compile(r"\b[a-z_]\w*\.[a-z_]\w*(?:\.\w+)*\b", re.IGNORECASE)


@contextmanager
def noting_settings() -> Iterator[set[str]]:
    """Collect the names of settings while env.py sends statements on whatever engine.

    It may hold too many: what is no setting has no value, and nothing is done about it.
    """
    names: set[str] = set()

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if SET.match(statement) or "set_config" in statement.lower():
            names.update(
                name.lower()
                for text in _texts(statement, parameters)
                for name in NAME.findall(text)
            )

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield names
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _texts(statement: str, parameters: Any) -> Iterator[str]:
    yield statement
    values = parameters.values() if isinstance(parameters, dict) else parameters or ()
    yield from (value for value in values if isinstance(value, str))
