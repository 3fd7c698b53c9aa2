"""unique order number"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_unique_constraint("uq_orders_order_number", "orders", ["order_number"])


def downgrade() -> None:
    op.drop_constraint("uq_orders_order_number", "orders", type_="unique")
