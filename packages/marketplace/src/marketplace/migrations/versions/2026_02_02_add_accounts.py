"""add accounts

Disabled users, the tokens that verify an e-mail address, and the record of what happened.

Revision ID: 7a03c4e86d1f
Revises: e19f4b6d2a70
Create Date: 2026-02-02 09:21:34+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "7a03c4e86d1f"
down_revision = "e19f4b6d2a70"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "email_verifications",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32",
            name=op.f("ck_email_verifications_token_hash_sha256"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_email_verifications_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_email_verifications")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("token_digest", sa.String(8), nullable=True),
        sa.CheckConstraint(
            "action IN ('user.registered', 'user.verified', 'user.password_changed', "
            "'user.role_changed', 'user.disabled', 'user.enabled', 'session.created', "
            "'session.refreshed', 'session.client_changed', 'session.reauthenticated', "
            "'session.reuse_detected', 'session.revoked', 'session.evicted', "
            "'session.expired_cleanup')",
            name=op.f("ck_audit_events_action"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index(op.f("ix_audit_events_user_id_id"), "audit_events", ["user_id", "id"])
    op.create_index(
        op.f("ix_audit_events_occurred_at"),
        "audit_events",
        ["occurred_at"],
        postgresql_using="brin",
    )


def downgrade() -> None:
    op.drop_table("audit_events")
    op.drop_table("email_verifications")
    op.drop_column("users", "disabled_at")
