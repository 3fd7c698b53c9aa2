"""add checkout

Requests that are safe to repeat, what happened to an order and to its payment, and why stock moved.

Revision ID: d2f86a15c07b
Revises: b40e7c1d95a8
Create Date: 2026-02-16 10:48:37+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "d2f86a15c07b"
down_revision = "b40e7c1d95a8"
branch_labels = None
depends_on = None


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response", sa.JSON(), nullable=False),
        _moment("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(fingerprint) = 32", name=op.f("ck_idempotency_keys_fingerprint_sha256")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_idempotency_keys_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_expires_at"), "idempotency_keys", ["expires_at"])
    op.create_table(
        "order_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("machine", sa.String(16), nullable=False),
        sa.Column("from_state", sa.String(16), nullable=True),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        _moment("occurred_at"),
        sa.CheckConstraint(
            "machine IN ('status', 'payment_status')", name=op.f("ck_order_events_machine")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_events_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_events")),
    )
    op.create_index(op.f("ix_order_events_order_id"), "order_events", ["order_id"])
    op.create_table(
        "payment_events",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("is_applied", sa.Boolean(), nullable=False),
        _moment("received_at"),
        sa.CheckConstraint(
            "kind IN ('succeeded', 'failed', 'refunded')", name=op.f("ck_payment_events_kind")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_payment_events_order_id_orders"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_events")),
    )
    op.create_table(
        "stock_adjustments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("stock_after", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("adjusted_by_id", sa.Uuid(), nullable=True),
        _moment("created_at"),
        sa.CheckConstraint("delta <> 0", name=op.f("ck_stock_adjustments_delta_not_zero")),
        sa.CheckConstraint(
            "reason IN ('received', 'returned', 'damaged', 'lost', 'counted')",
            name=op.f("ck_stock_adjustments_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["variant_id"],
            ["variants.id"],
            name=op.f("fk_stock_adjustments_variant_id_variants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["adjusted_by_id"],
            ["users.id"],
            name=op.f("fk_stock_adjustments_adjusted_by_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_adjustments")),
    )
    op.create_index(
        op.f("ix_stock_adjustments_variant_id_id"), "stock_adjustments", ["variant_id", "id"]
    )
    op.create_index(
        op.f("ix_stock_adjustments_adjusted_by_id"), "stock_adjustments", ["adjusted_by_id"]
    )
    op.create_index(
        "ix_orders_created_at_pending",
        "orders",
        ["created_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )


def downgrade() -> None:
    op.drop_index("ix_orders_created_at_pending", table_name="orders")
    op.drop_table("stock_adjustments")
    op.drop_table("payment_events")
    op.drop_table("order_events")
    op.drop_table("idempotency_keys")
