"""Each change of a partitioned table, in each form, while others create partitions; on 16 and 18, or another one.

Another connection creates partitions, attaches one, or drops one, right before each step in turn. The schema must be
that of plain Alembic with the same done ahead of it or behind it. One line a case; exit status 1 when one does not
hold. Names of changes and forms as arguments narrow it down.
"""

import re
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg
from alembic import command

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from contract import meanwhile, project_of, template_of, without_version_tables
from other_servers import EMBEDDED, INSTALLATION, servers_of
from type_changes import in_any_order

from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.dump import schema_dump

BEFORE = """
    CREATE TABLE owners (id integer PRIMARY KEY);
    INSERT INTO owners SELECT generate_series(0, 999);
    CREATE TABLE things (id integer, k integer, owner_id integer, note text) PARTITION BY {by};
    {partitions}
    INSERT INTO things SELECT n, n % 40, n % 1000, 'note ' || n FROM generate_series(1, 2000) AS n;
"""
CHANGES = {
    "index": "CREATE INDEX ON things (lower(note), k) WHERE owner_id > 3;",
    "unique": "ALTER TABLE things ADD UNIQUE (k, id);",
    "unique_index": "CREATE UNIQUE INDEX things_once ON things (id, k) INCLUDE (note);",
    "primary_key": "ALTER TABLE things ADD PRIMARY KEY (id, k);",
    "foreign_key": "ALTER TABLE things ADD FOREIGN KEY (owner_id) REFERENCES owners;",
    "not_null": "ALTER TABLE things ALTER id SET NOT NULL;",
    "check": "ALTER TABLE things ADD CHECK (owner_id >= 0);",
    "column": "ALTER TABLE things ADD COLUMN more integer DEFAULT 4 NOT NULL CHECK (more > 0)"
    " REFERENCES owners;",
    "type": "ALTER TABLE things ALTER owner_id TYPE bigint;",
}
# What another connection does: `created` in this form; or one that has rows is attached, or one goes.
ATTACHED = """
    CREATE TABLE joined (LIKE things INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
    INSERT INTO joined (id, k, owner_id, note) SELECT n, {key}, 1, 'joined' FROM generate_series(1, 20) AS n;
    ALTER TABLE joined ALTER id SET NOT NULL, ALTER k SET NOT NULL;
    ALTER TABLE things ATTACH PARTITION joined {bound};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to partition the table, what others create in it, and a place that is free for one more."""

    by: str
    partitions: str
    created: str
    key: str
    bound: str


FORMS = {
    "range": Form(
        by="RANGE (k)",
        partitions="""
            CREATE TABLE things_0 PARTITION OF things FOR VALUES FROM (0) TO (20);
            CREATE TABLE things_20 PARTITION OF things FOR VALUES FROM (20) TO (30);
            CREATE TABLE things_rest PARTITION OF things DEFAULT;""",
        created="""
            CREATE TABLE things_90 PARTITION OF things FOR VALUES FROM (90) TO (99);
            INSERT INTO things (id, k, owner_id, note) VALUES (1, 91, 1, 'new');""",
        key="n + 1000",
        bound="FOR VALUES FROM (1000) TO (2000)",
    ),
    "list": Form(
        by="LIST (k)",
        partitions="""
            CREATE TABLE things_1 PARTITION OF things FOR VALUES IN (0, 1, 2, 3, NULL);
            CREATE TABLE things_rest PARTITION OF things DEFAULT;""",
        created="""
            CREATE TABLE things_90 PARTITION OF things FOR VALUES IN (90, 91);
            INSERT INTO things (id, k, owner_id, note) VALUES (1, 91, 1, 'new');""",
        key="1000",
        bound="FOR VALUES IN (1000)",
    ),
    "hash": Form(
        by="HASH (k)",
        partitions="""
            CREATE TABLE things_0 PARTITION OF things FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE things_1 PARTITION OF things FOR VALUES WITH (MODULUS 4, REMAINDER 1);
            CREATE TABLE things_3 PARTITION OF things FOR VALUES WITH (MODULUS 8, REMAINDER 3);
            CREATE TABLE things_7 PARTITION OF things FOR VALUES WITH (MODULUS 16, REMAINDER 7);
            CREATE TABLE things_15 PARTITION OF things FOR VALUES WITH (MODULUS 32, REMAINDER 15);
            CREATE TABLE things_31 PARTITION OF things FOR VALUES WITH (MODULUS 64, REMAINDER 31);
            CREATE TABLE things_63 PARTITION OF things FOR VALUES WITH (MODULUS 128, REMAINDER 63);""",
        created="""
            CREATE TABLE things_127 PARTITION OF things
                FOR VALUES WITH (MODULUS 256, REMAINDER 127);""",
        key="(SELECT k FROM generate_series(1, 9999) AS k"
        " WHERE satisfies_hash_partition('things'::regclass, 512, 255, k) LIMIT 1)",
        bound="FOR VALUES WITH (MODULUS 512, REMAINDER 255)",
    ),
    "two_levels": Form(
        by="RANGE (k)",
        partitions="""
            CREATE TABLE things_0 PARTITION OF things FOR VALUES FROM (0) TO (20)
                PARTITION BY LIST (k);
            CREATE TABLE things_0_few PARTITION OF things_0 FOR VALUES IN (0, 1, 2, 3);
            CREATE TABLE things_0_rest PARTITION OF things_0 DEFAULT;
            CREATE TABLE things_20 PARTITION OF things FOR VALUES FROM (20) TO (50)
                PARTITION BY HASH (id);
            CREATE TABLE things_20_0 PARTITION OF things_20
                FOR VALUES WITH (MODULUS 1, REMAINDER 0);
            CREATE TABLE things_rest PARTITION OF things DEFAULT;""",
        created="""
            CREATE TABLE things_0_four PARTITION OF things_0 FOR VALUES IN (100);
            CREATE TABLE things_90 PARTITION OF things FOR VALUES FROM (90) TO (99)
                PARTITION BY RANGE (k);
            CREATE TABLE things_90_all PARTITION OF things_90 FOR VALUES FROM (90) TO (95);
            CREATE TABLE things_90_rest PARTITION OF things_90 DEFAULT;
            INSERT INTO things (id, k, owner_id, note) VALUES (1, 91, 1, 'new'), (1, 97, 1, 'new');""",
        key="n + 1000",
        bound="FOR VALUES FROM (1000) TO (2000)",
    ),
}
# Beside a default partition: what PostgreSQL would read it for.
OF_RANGES = {
    "attach": "ALTER TABLE things ATTACH PARTITION older FOR VALUES FROM (-9) TO (0);",
    "create": "CREATE TABLE older PARTITION OF things FOR VALUES FROM (-9) TO (0);",
    "attach_divided": "ALTER TABLE things ATTACH PARTITION older FOR VALUES FROM (-9) TO (0);",
}
OLDER = {
    "attach": """
        CREATE INDEX ON things (note); ALTER TABLE things ADD PRIMARY KEY (id, k);
        ALTER TABLE things ADD FOREIGN KEY (owner_id) REFERENCES owners;
        CREATE TABLE older (LIKE things);
        INSERT INTO older SELECT n, -1 - n % 9, 1, 'old' FROM generate_series(1, 500) AS n;""",
    "create": "CREATE INDEX ON things (note);",
    "attach_divided": """
        CREATE INDEX ON things (note); ALTER TABLE things ADD UNIQUE (id, k);
        ALTER TABLE things ADD FOREIGN KEY (owner_id) REFERENCES owners;
        CREATE TABLE older (id integer, k integer, owner_id integer, note text)
            PARTITION BY LIST (k);
        CREATE TABLE older_1 PARTITION OF older FOR VALUES IN (-1, -2, -3);
        CREATE TABLE older_rest PARTITION OF older DEFAULT;
        INSERT INTO older SELECT n, -1 - n % 9, 1, 'old' FROM generate_series(1, 500) AS n;""",
}
# CREATE TABLE .. (LIKE things) takes over the names that NOT NULL has at that moment.
OF_LIKE = re.compile(r"CONSTRAINT things_\w+_not_null NOT NULL")
DISTURBANCES = ("created", "attached", "dropped")


def written(folder: Path, *, change: str, form: str, disturbance: str) -> Path:
    """An example folder of this case, as the contract takes it."""
    kind, example = FORMS[form], folder / f"{change}-{form}-{disturbance}"
    example.mkdir()
    dropped = kind.partitions.split("CREATE TABLE ")[1].split(" ")[0]
    meanwhile = {
        "created": kind.created,
        "attached": ATTACHED.format(key=kind.key, bound=kind.bound),
        "dropped": f"DROP TABLE {dropped};",
    }
    before = BEFORE.format(by=kind.by, partitions=kind.partitions) + OLDER.get(change, "")
    (example / "before.sql").write_text(before)
    (example / "change.sql").write_text(CHANGES.get(change) or OF_RANGES[change])
    (example / "meanwhile.sql").write_text(meanwhile[disturbance])
    return example


def dump(url: str) -> str:
    schema = in_any_order(without_version_tables(schema_dump(url)))  # a copied column stands last
    return OF_LIKE.sub("NOT NULL", schema)


def plain_dump(example: Path, postgres: Postgres, template: str, *, is_first: bool) -> str:
    """With plain Alembic, and the others ahead of it or behind it."""
    folder = example / f"plain-{'behind' if is_first else 'ahead'}"
    with postgres.database(template=template) as url:
        for is_others in (is_first, not is_first):
            if is_others:
                with psycopg.connect(url) as connection:
                    connection.execute((example / "meanwhile.sql").read_bytes())
            else:
                command.upgrade(project_of(example, folder=folder, url=url).config, "head")
        return dump(url)


def prove_example(example: Path, *, postgres: Postgres, what: str) -> bool:
    """Before each step in turn."""
    template = template_of(example, folder=example / "template", postgres=postgres)
    wanted = [plain_dump(example, postgres, template, is_first=first) for first in (True, False)]
    step = 0
    while True:
        step += 1
        with postgres.database(template=template) as url:
            online = project_of(example, folder=example / f"before-{step}", url=url)
            report, begun = meanwhile(example, url=url, before=step)
            try:
                upgrade(online.config, "head", report=report)
                assert len(begun) < step or dump(url) in wanted
            except Exception:  # noqa: BLE001  # one case after the other
                print(f"FAILED  {what} before step {step}: {begun[-1:]}", flush=True)
                traceback.print_exc()
                return False
        if len(begun) < step:
            print(f"holds   {what} {step - 1} steps", flush=True)
            return True


def cases(names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    every = [
        (change, form, disturbance)
        for form in FORMS
        for change in (*CHANGES, *(OF_RANGES if form in ("range", "two_levels") else ()))
        for disturbance in DISTURBANCES
    ]
    return [case for case in every if all(name in case for name in names)]


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[CHANGE|FORM|DISTURBANCE]...")
@click.option("--major", "majors", multiple=True, type=int, default=EMBEDDED)
@INSTALLATION
def main(names: tuple[str, ...], majors: tuple[int, ...], installations: tuple[Path, ...]) -> None:
    holds = True
    for major, server in servers_of(installations, majors=majors):
        with tempfile.TemporaryDirectory() as folder:
            postgres = postgres_at(server.url())
            for change, form, disturbance in cases(names):
                example = written(Path(folder), change=change, form=form, disturbance=disturbance)
                what = f"PostgreSQL {major}  {example.name:36}"
                holds = prove_example(example, postgres=postgres, what=what) and holds
    print("every case holds" if holds else "some cases do not hold")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
