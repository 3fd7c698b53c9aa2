"""The orders get an index, a unique constraint, a foreign key, a NOT NULL and one partition more."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("orders_created_at", "orders", ["created_at"])
    op.create_unique_constraint("orders_order_number", "orders", ["order_number", "id"])
    op.create_foreign_key("orders_variant", "orders", "variants", ["variant_id"], ["id"])
    op.alter_column("orders", "channel", nullable=False)
    op.execute(
        "ALTER TABLE orders ATTACH PARTITION orders_archive FOR VALUES FROM (-1000000) TO (1)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE orders DETACH PARTITION orders_archive")
    op.alter_column("orders", "channel", nullable=True)
    op.drop_constraint("orders_variant", "orders")
    op.drop_constraint("orders_order_number", "orders")
    op.drop_index("orders_created_at")
