"""What is past its time goes, and nothing else; what somebody has locked waits."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session as Transaction

from marketplace.cleanup import clean_up
from marketplace.entities import (
    AuditedAction,
    AuditEvent,
    EmailVerification,
    EndReason,
    Session,
    User,
)
from marketplace.settings import Settings

DAY = timedelta(days=1)
NOW = func.now()


def session(*, age: timedelta, **fields: object) -> Session:
    """One that was opened so long ago: idle after 14 days, at its end after 30."""
    lives = {"expires_at": NOW - age + 14 * DAY, "absolute_expires_at": NOW - age + 30 * DAY}
    client = {"user_agent": "a browser", "ip_address": "192.0.2.1"}
    return Session(refresh_token_hash=bytes(32), **{**lives, **client, **fields})


def revoked(*, age: timedelta, ago: timedelta) -> Session:
    return session(age=age, is_revoked=True, revoked_at=NOW - ago, revoked_reason=EndReason.LOGOUT)


@pytest.fixture
def user(migrated: Engine) -> User:
    """With a session for each case."""
    with Transaction(migrated, expire_on_commit=False) as transaction:
        user = User(email="new@example.com", password_hash="-")
        user.sessions = [
            session(age=1 * DAY),
            session(age=20 * DAY),  # idle for 6 days
            session(age=22 * DAY),  # idle for 8 days: no address any more
            session(age=61 * DAY),  # past all: gone, and on record
            revoked(age=9 * DAY, ago=6 * DAY),
            revoked(age=9 * DAY, ago=8 * DAY),
            revoked(age=61 * DAY, ago=50 * DAY),
        ]
        transaction.add(user)
        transaction.commit()
    return user


def run(engine: Engine, *, batch: int = 1) -> dict[str, int]:
    return {cleaned.name: cleaned.rows for cleaned in clean_up(engine, Settings(), batch=batch)}


def with_address(engine: Engine) -> list[bool]:
    """Of each session that is left, in the order in which they were made."""
    with Transaction(engine) as transaction:
        rows = transaction.scalars(select(Session).order_by(Session.id))
        return [row.ip_address is not None and row.user_agent is not None for row in rows]


def test_sessions_and_addresses(migrated: Engine, user: User) -> None:
    """A session stays for its retention; its address for less. One that just expired is on record."""
    assert run(migrated) == {
        "sessions": 2,
        "addresses and user agents": 2,
        "e-mail verifications": 0,
        "e-mail changes": 0,
        "dead letters": 0,
        "idempotency keys": 0,
        "rate counts": 0,
        "audit events": 0,
    }
    assert with_address(migrated) == [True, True, False, True, False]
    with Transaction(migrated) as transaction:
        [event] = transaction.scalars(select(AuditEvent))
        assert (event.action, event.user_id) == (AuditedAction.SESSION_EXPIRED_CLEANUP, user.id)
    assert set(run(migrated).values()) == {0}


def test_what_is_locked_waits(migrated: Engine, user: User) -> None:
    """For the next run; nobody waits for anybody."""
    with Transaction(migrated) as somebody:
        oldest = select(Session).order_by(Session.absolute_expires_at).limit(1).with_for_update()
        assert somebody.scalar(oldest) is not None
        assert run(migrated)["sessions"] == 1
    assert run(migrated)["sessions"] == 1


def test_verifications_and_audit_events(migrated: Engine, user: User) -> None:
    """Those that nobody can use, and those that nobody has to keep."""
    with Transaction(migrated) as transaction:
        second = User(email="second@example.com", password_hash="-")
        transaction.add(second)
        transaction.flush()
        for owner, expires_at in ((user, NOW - DAY), (second, NOW + DAY)):
            row = EmailVerification(user_id=owner.id, token_hash=bytes(32), expires_at=expires_at)
            transaction.add(row)
        for age in (399 * DAY, 401 * DAY):
            event = AuditEvent(
                action=AuditedAction.USER_VERIFIED, user_id=user.id, occurred_at=NOW - age
            )
            transaction.add(event)
        transaction.commit()
    cleaned = run(migrated, batch=1000)
    assert (cleaned["e-mail verifications"], cleaned["audit events"]) == (1, 1)
