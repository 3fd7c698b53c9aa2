"""Random revisions on twin databases: plain Alembic and holdfast, each under two users who write, must end alike.

`./dev prove twins [N]`: N revisions, 200 by default. Hypothesis makes the first that does not hold as short as it can;
its source is printed. Exit status 1 then.
"""

import sys
import tempfile
from pathlib import Path

import click
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from drawn_revisions import compare, drawn_revision, twins

from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server


def prove(postgres: Postgres, *, examples: int) -> int:
    tried = 0

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )
    @given(data=st.data())
    def random_revisions(data: st.DataObject) -> None:
        nonlocal tried
        source = drawn_revision(data)
        note(source)
        with tempfile.TemporaryDirectory() as folder, twins(postgres, Path(folder)) as both:
            compare(both, source)
        tried += 1
        print(f"holds   {tried:3}  {len(source.splitlines())} lines", flush=True)

    random_revisions()
    return tried


@click.command(help=__doc__)
@click.argument("examples", type=int, default=200)
def main(examples: int) -> None:
    with temporary_server() as server:
        tried = prove(postgres_at(server.url()), examples=examples)
    print(f"twins: {tried} revisions end alike")


if __name__ == "__main__":
    main()
