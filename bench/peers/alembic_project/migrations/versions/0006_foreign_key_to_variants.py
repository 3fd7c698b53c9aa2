"""foreign key to variants"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_foreign_key("fk_orders_variant", "orders", "variants", ["variant_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint("fk_orders_variant", "orders", type_="foreignkey")
