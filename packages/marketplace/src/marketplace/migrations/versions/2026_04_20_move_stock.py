"""move stock

How many units of a variant there are moves into a table of its own. The release before this one goes on writing
`variants.stock`: as long as that column is there, two triggers keep both the same. Whoever writes either has locked the
row of the variant first, so none of them waits for the other crosswise. The column and the triggers go with
the revision `drop_stock_of_variants`.

Revision ID: 8d20c5f1e6b7
Revises: 9be3f6017da4
Create Date: 2026-04-20 08:15:33+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8d20c5f1e6b7"
down_revision = "9be3f6017da4"
branch_labels = None
depends_on = None

# A row of `variants` that is written makes or moves its row of `variant_stock`: also one that was there before.
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
    op.create_table(
        "variant_stock",
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("stock", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_variant_stock_stock_not_negative")),
        sa.ForeignKeyConstraint(
            ["variant_id"],
            ["variants.id"],
            name=op.f("fk_variant_stock_variant_id_variants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("variant_id", name=op.f("pk_variant_stock")),
        postgresql_with={"fillfactor": 80},
    )
    for statement in (FROM_VARIANTS, TO_VARIANTS, ON_VARIANTS, ON_STOCK):
        op.execute(statement)
    op.execute("UPDATE variants SET stock = stock")  # the trigger copies it


def downgrade() -> None:
    op.execute("DROP FUNCTION stock_from_variants() CASCADE")
    op.execute("DROP FUNCTION stock_to_variants() CASCADE")
    op.drop_table("variant_stock")
