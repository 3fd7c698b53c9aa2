"""add archiving

What was sold is never deleted: it is archived, and its name or sku is free again. Vendors, categories
and subcategories get an edit version, as products and variants have one.

Revision ID: b40e7c1d95a8
Revises: 7a03c4e86d1f
Create Date: 2026-02-09 13:05:11+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "b40e7c1d95a8"
down_revision = "7a03c4e86d1f"
branch_labels = None
depends_on = None

EDITED = ("vendors", "categories", "subcategories")
ARCHIVED = ("vendors", "products", "variants")
LIVE = sa.text("archived_at IS NULL")


def upgrade() -> None:
    for table in EDITED:
        op.add_column(
            table, sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False)
        )
    for table in ARCHIVED:
        op.add_column(table, sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        op.f("ix_vendors_name"), "vendors", ["name"], unique=True, postgresql_where=LIVE
    )
    op.create_index(
        op.f("ix_variants_sku"), "variants", ["sku"], unique=True, postgresql_where=LIVE
    )
    op.drop_constraint(op.f("uq_vendors_name"), "vendors", type_="unique")
    op.drop_constraint(op.f("uq_variants_sku"), "variants", type_="unique")


def downgrade() -> None:
    op.create_unique_constraint(op.f("uq_variants_sku"), "variants", ["sku"])
    op.create_unique_constraint(op.f("uq_vendors_name"), "vendors", ["name"])
    op.drop_index(op.f("ix_variants_sku"), table_name="variants")
    op.drop_index(op.f("ix_vendors_name"), table_name="vendors")
    for table in ARCHIVED:
        op.drop_column(table, "archived_at")
    for table in EDITED:
        op.drop_column(table, "version")
