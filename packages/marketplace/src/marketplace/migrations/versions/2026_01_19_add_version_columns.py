"""add version columns

Revision ID: c5d80a3e7b46
Revises: 8b27e94f6c13
Create Date: 2026-01-19 14:47:21+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c5d80a3e7b46"
down_revision = "8b27e94f6c13"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "products",
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
    )
    op.add_column(
        "variants",
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("variants", "version")
    op.drop_column("products", "version")
