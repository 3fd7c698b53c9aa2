"""What the database does not take for a session, and what ends with its user."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from marketplace.entities import EndReason, Session, User

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def session(**fields: object) -> Session:
    sound = {
        "refresh_token_hash": bytes(32),
        "expires_at": NOW + timedelta(days=14),
        "absolute_expires_at": NOW + timedelta(days=30),
    }
    return Session(**{**sound, **fields})


def owner(transaction: Transaction, **fields: object) -> User:
    user = User(email="new@example.com", password_hash="-", sessions=[session(**fields)])
    transaction.add(user)
    return user


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"refresh_token_hash": b"a token"}, "ck_sessions_refresh_token_hash_sha256"),
        ({"previous_token_hash": b"a token"}, "ck_sessions_previous_token_hash_sha256"),
        ({"expires_at": NOW + timedelta(days=31)}, "ck_sessions_absolute_expiry"),
        ({"is_revoked": True, "revoked_reason": EndReason.LOGOUT}, "ck_sessions_revoked_at_known"),
        ({"is_revoked": True, "revoked_at": NOW}, "ck_sessions_revoked_reason_known"),
        ({"revoked_at": NOW}, "ck_sessions_revoked_at_known"),
    ],
)
def test_refused(migrated: Engine, fields: dict[str, object], constraint: str) -> None:
    """A digest of another size, a life past the absolute end, half of a revocation."""
    with Transaction(migrated) as transaction:
        owner(transaction, **fields)
        with pytest.raises(IntegrityError) as refusal:
            transaction.commit()
    assert refusal.value.orig is not None
    assert refusal.value.orig.diag.constraint_name == constraint  # type: ignore[attr-defined]


def test_sessions_end_with_their_user(migrated: Engine) -> None:
    """ON DELETE CASCADE: the database does it, no session is read for it."""
    with Transaction(migrated) as transaction:
        user = owner(transaction)
        transaction.commit()
        transaction.delete(user)
        transaction.commit()
        assert transaction.scalar(select(func.count()).select_from(Session)) == 0
