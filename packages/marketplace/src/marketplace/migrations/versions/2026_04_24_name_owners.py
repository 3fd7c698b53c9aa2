"""name owners

What belongs to an order says whose it is, so that a database that is divided by user finds it beside the order. The
release before goes on writing without that: a trigger says it then, until `drop_stock_of_variants`.

Revision ID: 2f6b90d7a3ce
Revises: 8d20c5f1e6b7
Create Date: 2026-04-24 09:40:51+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "2f6b90d7a3ce"
down_revision = "8d20c5f1e6b7"
branch_labels = None
depends_on = None

# Of a row that says nothing of whose order it is, as the release before writes it. At check-out order, event and lines
# are one statement of that release: the order is not there yet, but the event is, which says who has ordered.
OWNER = """
CREATE OR REPLACE FUNCTION owner_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.ordered_by_id IS NULL THEN
        SELECT ordered_by_id INTO NEW.ordered_by_id FROM orders WHERE id = NEW.order_id;
    END IF;
    IF NEW.ordered_by_id IS NULL AND TG_TABLE_NAME = 'order_events' THEN
        NEW.ordered_by_id = NEW.actor_id;
    ELSIF NEW.ordered_by_id IS NULL THEN
        SELECT ordered_by_id INTO NEW.ordered_by_id FROM order_events WHERE order_id = NEW.order_id LIMIT 1;
    END IF;
    RETURN NEW;
END $$
"""
OF_ORDERS = ("order_lines", "order_events", "delivery_addresses")


def _trigger(table: str) -> str:
    return (
        f"CREATE OR REPLACE TRIGGER owner_of_order BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION owner_of_order()"
    )


def upgrade() -> None:
    op.execute(OWNER)
    for table in OF_ORDERS:
        op.add_column(table, sa.Column("ordered_by_id", sa.Uuid(), nullable=True))
    for table in OF_ORDERS:
        op.execute(_trigger(table))
    for table in OF_ORDERS:
        op.execute(
            f"UPDATE {table} SET ordered_by_id = (SELECT ordered_by_id FROM orders WHERE id = order_id)"  # noqa: S608
        )
        op.alter_column(table, "ordered_by_id", nullable=False)


def downgrade() -> None:
    op.execute("DROP FUNCTION owner_of_order() CASCADE")
    for table in reversed(OF_ORDERS):
        op.drop_column(table, "ordered_by_id")
