"""Random revisions end under holdfast as under plain Alembic, while two users write; `./dev prove twins` tries more."""

import tempfile
from pathlib import Path

from drawn_revisions import compare, drawn_revision, twins
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from holdfast.scratch.databases import Postgres


@settings(
    max_examples=1,
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_random_revisions(postgres: Postgres, data: st.DataObject) -> None:
    """Of brackets, writes, reads, savepoints, the driver's own connection, in any order."""
    source = drawn_revision(data)
    note(source)
    with (
        tempfile.TemporaryDirectory() as folder,
        twins(postgres, Path(folder)) as both,
    ):
        compare(both, source)
