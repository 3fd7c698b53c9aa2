"""add letters

Mail is written by the transaction that is the reason for it, and sent afterwards.

Revision ID: 1d7a3f9c62e8
Revises: c4a90d15e7b2
Create Date: 2026-03-16 08:41:17+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "1d7a3f9c62e8"
down_revision = "c4a90d15e7b2"
branch_labels = None
depends_on = None

KINDS = (
    "kind IN ('new_account', 'known_account', 'new_device', 'email_change', 'email_change_asked', "
    "'email_changed', 'email_taken', 'second_factor_changed', 'account_deleted', 'refund')"
)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _now("created_at"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _now("next_attempt_at"),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(64), nullable=True),
        sa.CheckConstraint(KINDS, name=op.f("ck_letters_kind")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_letters_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letters")),
    )
    op.create_index(op.f("ix_letters_user_id"), "letters", ["user_id"])
    op.create_index(
        op.f("ix_letters_next_attempt_at"),
        "letters",
        ["next_attempt_at"],
        postgresql_where=sa.text("gave_up_at IS NULL"),
    )
    op.create_index(
        op.f("ix_letters_gave_up_at_id"),
        "letters",
        ["gave_up_at", "id"],
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("letters")
