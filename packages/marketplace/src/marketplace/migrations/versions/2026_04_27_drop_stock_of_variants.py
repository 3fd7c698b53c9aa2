"""drop stock of variants

Only the release before needs it. With `--expand` column and triggers wait for `holdfast finish`.

Revision ID: c7a1f93e50d4
Revises: 8d20c5f1e6b7
Create Date: 2026-04-27 09:02:10+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "c7a1f93e50d4"
down_revision = "8d20c5f1e6b7"
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


def upgrade() -> None:
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
