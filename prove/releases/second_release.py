"""The marketplace's second release: a copy of its package with other entities, and the revision that goes with them.

Made from the package as it is, so that it is the real shop that runs twice. A text that is not found any more is an
error: then the shop has changed, and this has to follow.
"""

import shutil
from pathlib import Path

from alembic.script import ScriptDirectory

import marketplace
from marketplace.schema import migration_config

REVISION = "second_release"
SOURCE = '''"""The second release of the proof."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"


def upgrade() -> None:
    op.alter_column("vendors", "name", new_column_name="title")
    op.rename_table("categories", "departments")
    op.drop_column("stock_adjustments", "note")
    op.drop_table("rate_counts")
    op.alter_column("variant_stock", "stock", existing_type=sa.Integer(), type_=sa.BigInteger())


def downgrade() -> None:
    op.alter_column("variant_stock", "stock", existing_type=sa.BigInteger(), type_=sa.Integer())
    op.create_table(
        "rate_counts",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_counts")),
        prefixes=["UNLOGGED"],
    )
    op.add_column(
        "stock_adjustments", sa.Column("note", sa.Text(), nullable=False, server_default="")
    )
    op.alter_column("stock_adjustments", "note", server_default=None)
    op.rename_table("departments", "categories")
    op.alter_column("vendors", "title", new_column_name="name")
'''
# In each file: what the first release has, and what the second has in its place.
CHANGES = {
    "entities/vendor.py": (
        ("import Mapped\n", "import Mapped, mapped_column\n"),
        ("    name: Mapped[str]\n", '    name: Mapped[str] = mapped_column("title")\n'),
        ('Index(None, "name"', 'Index(None, "title"'),
    ),
    "catalog/queries.py": (("vendors.name", "vendors.title"),),
    "catalog/stock.py": (
        ("vendors.name", "vendors.title"),
        ("reason, note, adjusted_by_id", "reason, adjusted_by_id"),
        ("VALUES (%s, %s, %s, %s, %s, %s, %s)", "VALUES (%s, %s, %s, %s, %s, %s)"),
        ("reason.value, note, adjusted_by", "reason.value, adjusted_by"),
    ),
    "entities/category.py": (('"categories"', '"departments"'),),
    "entities/subcategory.py": (('"categories.id"', '"departments.id"'),),
    "entities/stock_adjustment.py": (("    note: Mapped[str]\n", ""),),
    "entities/variant_stock.py": (
        ("import CheckConstraint,", "import BigInteger, CheckConstraint,"),
        (
            'stock: Mapped[int] = mapped_column(server_default=text("0"))',
            'stock: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))',
        ),
    ),
    "entities/__init__.py": (
        ("from marketplace.entities.rate_count import RateCount\n", ""),
        ('    "RateCount",\n', ""),
    ),
}


def second_release(folder: Path) -> Path:
    """The package in `folder`, to be put on PYTHONPATH; gives the file of its revision."""
    [source] = marketplace.__path__
    package = folder / "marketplace"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "entities" / "rate_count.py").unlink()
    for name, changes in CHANGES.items():
        file = package / name
        text = file.read_text()
        for old, new in changes:
            if old not in text:
                raise SystemExit(f"{name} of the marketplace has no {old!r} any more")
            text = text.replace(old, new)
        file.write_text(text)
    [head] = ScriptDirectory.from_config(migration_config()).get_heads()
    made = package / "migrations" / "versions" / f"{REVISION}.py"
    made.write_text(SOURCE.format(revision=REVISION, head=head))
    return made
