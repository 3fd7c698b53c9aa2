"""The hundred changes: 25 tables, each created, given a column, an index and a foreign key to the table before."""

from dataclasses import dataclass

NUMBER = 100

# As SQL, as Alembic writes it, as Django does.
CREATE = (
    """CREATE TABLE {table} (id serial PRIMARY KEY, name varchar(100) NOT NULL, email varchar(200),
    amount integer NOT NULL DEFAULT 0, active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now())""",
    """op.create_table(
        "{table}", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False), sa.Column("email", sa.String(200)),
        sa.Column("amount", sa.Integer, nullable=False, server_default="0"),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )""",
    """migrations.CreateModel("{Table}", fields=[
        ("id", models.AutoField(primary_key=True)), ("name", models.CharField(max_length=100)),
        ("email", models.CharField(max_length=200, null=True)), ("amount", models.IntegerField(db_default=0)),
        ("active", models.BooleanField(db_default=True)), ("created_at", models.DateTimeField(db_default=Now())),
    ], options={{"db_table": "{table}"}})""",
)
ADD = (
    "ALTER TABLE {table} ADD COLUMN note varchar(200)",
    'op.add_column("{table}", sa.Column("note", sa.String(200)))',
    'migrations.AddField("{Table}", "note", models.CharField(max_length=200, null=True))',
)
INDEX = (
    "CREATE INDEX ix_{table}_email ON {table} (email)",
    'op.create_index("ix_{table}_email", "{table}", ["email"])',
    'migrations.AddIndex("{Table}", models.Index(fields=["email"], name="ix_{table}_email"))',
)
REFER = (
    "ALTER TABLE {table} ADD COLUMN ref_id integer REFERENCES {before} (id)",
    'op.add_column("{table}", sa.Column("ref_id", sa.Integer, sa.ForeignKey("{before}.id")))',
    """migrations.AddField("{Table}", "ref", models.ForeignKey(
        "hundred.{Before}", null=True, db_index=False, on_delete=models.CASCADE))""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One migration: as SQL, as Alembic's operation and as Django's."""

    name: str
    sql: str
    alembic: str
    django: str


def changes() -> list[Change]:
    return [_change(number) for number in range(NUMBER)]


def _change(number: int) -> Change:
    group, kind = divmod(number, 4)
    table, before = f"t_{group:03}", f"t_{max(group - 1, 0):03}"
    values = {"table": table, "Table": table.title(), "before": before, "Before": before.title()}
    sql, alembic, django = (text.format(**values) for text in (CREATE, ADD, INDEX, REFER)[kind])
    return Change(name=f"m{number:03}", sql=sql, alembic=alembic, django=django)
