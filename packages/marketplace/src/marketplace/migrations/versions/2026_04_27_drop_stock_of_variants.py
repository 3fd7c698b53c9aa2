"""drop stock of variants

Only the release before needs it, and the triggers of the last two revisions. With `--expand` all of it waits for
`holdfast finish`.

Revision ID: c7a1f93e50d4
Revises: 2f6b90d7a3ce
Create Date: 2026-04-27 09:02:10+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c7a1f93e50d4"
down_revision = "2f6b90d7a3ce"
branch_labels = None
depends_on = None

FROM_VARIANTS = """
CREATE OR REPLACE FUNCTION stock_from_variants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO variant_stock AS known (variant_id, stock) VALUES (NEW.id, NEW.stock)
    ON CONFLICT (variant_id) DO UPDATE SET stock = excluded.stock WHERE known.stock <> excluded.stock;
    RETURN NULL;
END $$
"""
TO_VARIANTS = """
CREATE OR REPLACE FUNCTION stock_to_variants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE variants SET stock = NEW.stock WHERE id = NEW.variant_id AND stock <> NEW.stock;
    RETURN NULL;
END $$
"""
ON_VARIANTS = """
CREATE OR REPLACE TRIGGER stock_from_variants AFTER INSERT OR UPDATE ON variants
FOR EACH ROW EXECUTE FUNCTION stock_from_variants()
"""
ON_STOCK = """
CREATE OR REPLACE TRIGGER stock_to_variants AFTER UPDATE ON variant_stock
FOR EACH ROW EXECUTE FUNCTION stock_to_variants()
"""

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
    op.execute("DROP FUNCTION owner_of_order() CASCADE")
    op.execute("DROP FUNCTION stock_from_variants() CASCADE")
    op.execute("DROP FUNCTION stock_to_variants() CASCADE")
    op.drop_column("variants", "stock")


def downgrade() -> None:
    op.add_column(
        "variants", sa.Column("stock", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_check_constraint(op.f("ck_variants_stock_not_negative"), "variants", "stock >= 0")
    op.execute(TO_VARIANTS)
    op.execute(ON_STOCK)
    op.execute("UPDATE variant_stock SET stock = stock")  # the trigger copies it
    op.execute(FROM_VARIANTS)  # not before: what is not copied yet is 0
    op.execute(ON_VARIANTS)
    op.execute(OWNER)
    for table in OF_ORDERS:
        op.execute(_trigger(table))
