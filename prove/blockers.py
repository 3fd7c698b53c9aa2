"""Whoever is in the way: the migration ends, or gives up and says who it was, and no request pays for it.

`./dev prove blockers [NAMES]`. A table with traffic gets a column, an index, a foreign key and a NOT NULL, each time
beside another blocker: forgotten transactions, readers with old snapshots, pg_dump, autovacuum, other tools. Where the
run gives up it runs again once the blocker is gone. A line for each; status 1 when one does not hold: a request that
waited longer than the ceiling of a lock and the noise of the same traffic without a migration, a request that failed, a
message without the name.
"""

import sys
import traceback
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1] / "packages/holdfast/tests/kit"))
sys.path.insert(0, str(Path(__file__).parent / "blockers"))
from cases import CASES
from world import Failed, world


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
def main(names: tuple[str, ...]) -> None:
    failed = False
    with world() as around:
        print(
            f"noise: the longest request without a migration took {around.noise:.0f} ms", flush=True
        )
        for name in names or CASES:
            try:
                said = CASES[name](around)
            except Failed as error:
                failed = True
                print(f"FAILED  {name}: {error}", flush=True)
            except Exception:  # noqa: BLE001  # the other cases have something to say too
                failed = True
                print(f"FAILED  {name}:\n{traceback.format_exc()}", flush=True)
            else:
                print(f"ok      {name}: {said}", flush=True)
    sys.exit(failed)


main()
