"""add indexes"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_users_email", "users", ["email"])
    op.create_index("ix_users_phone_number", "users", ["phone_number"])
    op.create_index("ix_users_email_is_verified", "users", ["email", "is_verified"])
    op.create_index("ix_products_name", "products", ["name"])
    op.create_index("ix_products_stock", "products", ["stock"])
    op.create_index("ix_products_vendor_subcategory", "products", ["vendor_id", "subcategory_id"])
    op.create_index("ix_orders_ordered_by_status", "orders", ["ordered_by_id", "status"])
    op.create_index("ix_orders_payment_status", "orders", ["payment_status"])
    op.create_index("ix_orders_created_at", "orders", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_orders_created_at")
    op.drop_index("ix_orders_payment_status")
    op.drop_index("ix_orders_ordered_by_status")
    op.drop_index("ix_products_vendor_subcategory")
    op.drop_index("ix_products_stock")
    op.drop_index("ix_products_name")
    op.drop_index("ix_users_email_is_verified")
    op.drop_index("ix_users_phone_number")
    op.drop_index("ix_users_email")
