"""add indexes

Revision ID: 8b27e94f6c13
Revises: 3f6c1d0a58e2
Create Date: 2026-01-12 10:03:55+00:00
"""

from alembic import op

revision = "8b27e94f6c13"
down_revision = "3f6c1d0a58e2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_users_email"), "users", ["email"], unique=True)
    op.create_index(op.f("ix_users_phone_number"), "users", ["phone_number"], unique=True)
    op.create_index(op.f("ix_users_email_is_verified"), "users", ["email", "is_verified"])
    op.create_index(op.f("ix_products_name"), "products", ["name"])
    op.create_index(op.f("ix_products_stock"), "products", ["stock"])
    op.create_index(
        op.f("ix_products_vendor_id_subcategory_id"), "products", ["vendor_id", "subcategory_id"]
    )
    op.create_index(op.f("ix_orders_ordered_by_id_status"), "orders", ["ordered_by_id", "status"])
    op.create_index(op.f("ix_orders_payment_status"), "orders", ["payment_status"])
    op.create_index(op.f("ix_orders_created_at"), "orders", ["created_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_orders_created_at"), table_name="orders")
    op.drop_index(op.f("ix_orders_payment_status"), table_name="orders")
    op.drop_index(op.f("ix_orders_ordered_by_id_status"), table_name="orders")
    op.drop_index(op.f("ix_products_vendor_id_subcategory_id"), table_name="products")
    op.drop_index(op.f("ix_products_stock"), table_name="products")
    op.drop_index(op.f("ix_products_name"), table_name="products")
    op.drop_index(op.f("ix_users_email_is_verified"), table_name="users")
    op.drop_index(op.f("ix_users_phone_number"), table_name="users")
    op.drop_index(op.f("ix_users_email"), table_name="users")
