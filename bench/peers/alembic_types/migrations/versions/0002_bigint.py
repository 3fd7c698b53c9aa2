"""A total of money and the key of the users outgrow integer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.alter_column("orders", "total_cents", type_=sa.BigInteger, existing_nullable=False)
    op.alter_column("users", "id", type_=sa.BigInteger, existing_nullable=False)


def downgrade() -> None:
    op.alter_column("users", "id", type_=sa.Integer, existing_nullable=False)
    op.alter_column("orders", "total_cents", type_=sa.Integer, existing_nullable=False)
