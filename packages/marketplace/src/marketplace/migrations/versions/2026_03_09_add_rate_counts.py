"""add rate counts

Where several processes count together how often something was asked.

Revision ID: c4a90d15e7b2
Revises: 8e42b6f7a915
Create Date: 2026-03-09 10:02:44+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c4a90d15e7b2"
down_revision = "8e42b6f7a915"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_counts",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_counts")),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("rate_counts")
