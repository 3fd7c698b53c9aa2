"""The application by itself, for any ASGI server."""

import pytest

from marketplace.app import create_app
from marketplace.errors import NoDatabase


def test_it_needs_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts none; `up` does."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(NoDatabase):
        create_app()
