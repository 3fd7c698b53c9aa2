"""add refunds

What was paid and refunded of each order, refunds as documents of their own, and the orders whose money and
goods do not fit. Money that the provider had told of before is counted from the payment status.

Revision ID: 5c1e7d90b3f4
Revises: d2f86a15c07b
Create Date: 2026-02-23 08:32:10+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "5c1e7d90b3f4"
down_revision = "d2f86a15c07b"
branch_labels = None
depends_on = None

STATES = "payment_status IN ('pending', 'paid', 'failed', 'part_refunded', 'refunded')"
STATES_BEFORE = "payment_status IN ('pending', 'paid', 'failed', 'refunded')"
UNSETTLED = """
    has_unmatched_money OR refunded > paid OR paid - refunded > total
    OR (status = 'cancelled' AND paid > refunded)
    OR (status = 'confirmed' AND paid > 0 AND refunded >= paid)
"""


def upgrade() -> None:
    for name in ("paid", "refunded"):
        op.add_column(
            "orders",
            sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        )
    op.add_column(
        "orders",
        sa.Column(
            "has_unmatched_money", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )
    op.drop_constraint(op.f("ck_orders_payment_status"), "orders", type_="check")
    op.create_check_constraint(op.f("ck_orders_payment_status"), "orders", STATES)
    op.create_check_constraint(op.f("ck_orders_paid_not_negative"), "orders", "paid >= 0")
    op.create_check_constraint(op.f("ck_orders_refunded_not_negative"), "orders", "refunded >= 0")
    op.execute("UPDATE orders SET paid = total WHERE payment_status IN ('paid', 'refunded')")
    op.execute("UPDATE orders SET refunded = total WHERE payment_status = 'refunded'")
    op.create_table(
        "refunds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("payment_event_id", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column(
            "refunded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount_positive")),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_refunds_order_id_orders"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["payment_event_id"],
            ["payment_events.id"],
            name=op.f("fk_refunds_payment_event_id_payment_events"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint("payment_event_id", name=op.f("uq_refunds_payment_event_id")),
    )
    op.create_index(op.f("ix_refunds_order_id"), "refunds", ["order_id"])
    op.create_index(op.f("ix_payment_events_order_id"), "payment_events", ["order_id"])
    op.create_index(
        "ix_orders_created_at_unsettled",
        "orders",
        ["created_at"],
        postgresql_where=sa.text(UNSETTLED),
    )


def downgrade() -> None:
    op.drop_index("ix_orders_created_at_unsettled", table_name="orders")
    op.drop_index(op.f("ix_payment_events_order_id"), table_name="payment_events")
    op.drop_table("refunds")
    op.execute("UPDATE orders SET payment_status = 'paid' WHERE payment_status = 'part_refunded'")
    op.drop_constraint(op.f("ck_orders_refunded_not_negative"), "orders", type_="check")
    op.drop_constraint(op.f("ck_orders_paid_not_negative"), "orders", type_="check")
    op.drop_constraint(op.f("ck_orders_payment_status"), "orders", type_="check")
    op.create_check_constraint(op.f("ck_orders_payment_status"), "orders", STATES_BEFORE)
    op.drop_column("orders", "has_unmatched_money")
    op.drop_column("orders", "refunded")
    op.drop_column("orders", "paid")
