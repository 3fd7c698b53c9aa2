"""add session entity

Revision ID: e19f4b6d2a70
Revises: c5d80a3e7b46
Create Date: 2026-01-26 08:30:09+00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "e19f4b6d2a70"
down_revision = "c5d80a3e7b46"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("refresh_token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rotation_nonce", sa.LargeBinary(), nullable=True),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_agent", sa.String(512), nullable=True),
        sa.Column("ip_address", postgresql.INET(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "authenticated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "last_used_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("absolute_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_revoked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_reason", sa.String(16), nullable=True),
        sa.CheckConstraint(
            "octet_length(refresh_token_hash) = 32",
            name=op.f("ck_sessions_refresh_token_hash_sha256"),
        ),
        sa.CheckConstraint(
            "octet_length(previous_token_hash) = 32",
            name=op.f("ck_sessions_previous_token_hash_sha256"),
        ),
        sa.CheckConstraint("generation >= 0", name=op.f("ck_sessions_generation_not_negative")),
        sa.CheckConstraint(
            "expires_at <= absolute_expires_at", name=op.f("ck_sessions_absolute_expiry")
        ),
        sa.CheckConstraint(
            "is_revoked = (revoked_at IS NOT NULL)", name=op.f("ck_sessions_revoked_at_known")
        ),
        sa.CheckConstraint(
            "is_revoked = (revoked_reason IS NOT NULL)",
            name=op.f("ck_sessions_revoked_reason_known"),
        ),
        sa.CheckConstraint(
            "revoked_reason IN ('logout', 'logout_all', 'logout_others', 'password_change', "
            "'reuse_detected', 'evicted', 'admin', 'user_disabled')",
            name=op.f("ck_sessions_revoked_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_sessions_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(op.f("ix_sessions_absolute_expires_at"), "sessions", ["absolute_expires_at"])
    op.create_index(op.f("ix_sessions_user_id_is_revoked"), "sessions", ["user_id", "is_revoked"])


def downgrade() -> None:
    op.drop_table("sessions")
