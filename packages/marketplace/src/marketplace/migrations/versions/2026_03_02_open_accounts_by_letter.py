"""open accounts by letter

Whoever has the letter sets the password, so an account has none before. A phone number, which nobody verifies,
identifies nobody. The audit records log ins that failed and what administrators read.

Revision ID: 8e42b6f7a915
Revises: 5c1e7d90b3f4
Create Date: 2026-03-02 09:14:52+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "8e42b6f7a915"
down_revision = "5c1e7d90b3f4"
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
)
ACTIONS = (*ACTIONS_BEFORE, "session.refused", "admin.read")


def _replace_actions(actions: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{action}'" for action in actions)
    op.drop_constraint(op.f("ck_audit_events_action"), "audit_events", type_="check")
    op.create_check_constraint(
        op.f("ck_audit_events_action"), "audit_events", f"action IN ({listed})"
    )


def upgrade() -> None:
    op.alter_column("users", "password_hash", existing_type=sa.Text(), nullable=True)
    op.drop_index(op.f("ix_users_phone_number"), table_name="users")
    op.create_index(op.f("ix_users_phone_number"), "users", ["phone_number"])
    _replace_actions(ACTIONS)


def downgrade() -> None:
    op.execute("DELETE FROM audit_events WHERE action IN ('session.refused', 'admin.read')")
    _replace_actions(ACTIONS_BEFORE)
    op.execute(
        "UPDATE users SET phone_number = NULL WHERE EXISTS (SELECT FROM users AS other "
        "WHERE other.phone_number = users.phone_number AND other.id < users.id)"
    )
    op.drop_index(op.f("ix_users_phone_number"), table_name="users")
    op.create_index(op.f("ix_users_phone_number"), "users", ["phone_number"], unique=True)
    op.execute("UPDATE users SET password_hash = '!' WHERE password_hash IS NULL")
    op.alter_column("users", "password_hash", existing_type=sa.Text(), nullable=False)
