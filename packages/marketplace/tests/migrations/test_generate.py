"""holdfast generate on the marketplace: models and migrations agree in everything that a catalog knows."""

import pytest

from holdfast.preview.generate import difference
from holdfast.scratch.databases import Postgres
from holdfast.scratch.template import scratch_server
from marketplace import schema


def test_nothing_to_generate(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """No phantom: not in defaults, checks, indexes, collations, comments."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    with scratch_server() as server:
        assert difference(schema.migration_config(), server=server).lines == ()
