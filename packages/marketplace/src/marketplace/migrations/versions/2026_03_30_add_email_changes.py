"""add email changes

A change of the address waits for its confirmation; what accounts may do now is on record; a user can be deleted.

Revision ID: a85d21f70c3b
Revises: 62b0e8d4a91f
Create Date: 2026-03-30 08:20:31+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "a85d21f70c3b"
down_revision = "62b0e8d4a91f"
branch_labels = None
depends_on = None

ACTIONS_BEFORE = (
    "user.registered",
    "user.verified",
    "user.password_changed",
    "user.role_changed",
    "user.disabled",
    "user.enabled",
    "session.created",
    "session.refreshed",
    "session.client_changed",
    "session.reauthenticated",
    "session.reuse_detected",
    "session.revoked",
    "session.evicted",
    "session.expired_cleanup",
    "session.refused",
    "admin.read",
)
NEW_ACTIONS = (
    "user.email_changed",
    "user.second_factor_added",
    "user.second_factor_removed",
    "user.recovery_code_used",
    "user.exported",
    "user.deleted",
)
ACTIONS = (*ACTIONS_BEFORE[:6], *NEW_ACTIONS, *ACTIONS_BEFORE[6:])
REASONS_BEFORE = (
    "logout",
    "logout_all",
    "logout_others",
    "password_change",
    "reuse_detected",
    "evicted",
    "admin",
    "user_disabled",
)


def _replace(table: str, column: str, values: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{value}'" for value in values)
    name = op.f(f"ck_{table}_{column}")
    op.drop_constraint(name, table, type_="check")
    op.create_check_constraint(name, table, f"{column} IN ({listed})")


def upgrade() -> None:
    op.create_table(
        "email_changes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("new_email", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "new_email = lower(new_email)", name=op.f("ck_email_changes_new_email_lower_case")
        ),
        sa.CheckConstraint(
            "octet_length(token_hash) = 32", name=op.f("ck_email_changes_token_hash_sha256")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_email_changes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_email_changes")),
    )
    op.create_index(op.f("ix_email_changes_expires_at"), "email_changes", ["expires_at"])
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    _replace("audit_events", "action", ACTIONS)
    _replace("sessions", "revoked_reason", (*REASONS_BEFORE, "email_change"))


def downgrade() -> None:
    op.execute("UPDATE sessions SET revoked_reason = 'admin' WHERE revoked_reason = 'email_change'")
    _replace("sessions", "revoked_reason", REASONS_BEFORE)
    events = sa.table("audit_events", sa.column("action", sa.String))
    op.execute(events.delete().where(events.c.action.in_(NEW_ACTIONS)))
    _replace("audit_events", "action", ACTIONS_BEFORE)
    op.drop_column("users", "deleted_at")
    op.drop_table("email_changes")
