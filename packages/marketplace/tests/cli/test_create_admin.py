"""`marketplace create-admin` makes the first administrator, without a password on the command line."""

from collections.abc import Callable

import httpx
import pytest
from click.testing import CliRunner
from devices import CUSTOMER, log_in
from shoppers import VENDOR
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from marketplace.cli.create_admin import create_admin
from marketplace.entities import AuditedAction, AuditEvent, Role, User
from marketplace.errors import AccountDisabled, DatabaseRefused, UnusableAccount

EMAIL, PASSWORD = "first@example.com", "a password for the first one"


def run(engine: Engine, email: str, *, stdin: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    return CliRunner().invoke(create_admin, [email], input=stdin, catch_exceptions=False).output


def test_a_new_account(
    shop: Engine, serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Can log in at once, and do what administrators do; who made it an administrator is on record: nobody."""
    said = run(shop, EMAIL.upper(), stdin=f"{PASSWORD}\n", monkeypatch=monkeypatch)
    assert said == f"administrator: {EMAIL}\n"
    api = serve()
    answer = api.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
    token = answer.json()["access_token"]
    users = api.get("/admin/users", headers={"Authorization": f"Bearer {token}"})
    assert users.status_code == 200
    with Session(shop) as session:
        user = session.scalars(select(User).where(User.email == EMAIL)).one()
        events = session.scalars(select(AuditEvent).where(AuditEvent.user_id == user.id))
        assert [(event.action, event.reason, event.actor_id) for event in events][:2] == [
            (AuditedAction.USER_REGISTERED, None, None),
            (AuditedAction.USER_ROLE_CHANGED, "admin", None),
        ]


def test_an_account_that_exists(
    shop: Engine, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeps its password, and is nobody's staff any more; nothing is asked, and twice is as once."""
    for email in (CUSTOMER, VENDOR, VENDOR):
        assert run(shop, email, stdin="", monkeypatch=monkeypatch) == f"administrator: {email}\n"
        log_in(api, email)
    with Session(shop) as session:
        found = session.scalars(select(User).where(User.email.in_((CUSTOMER, VENDOR))))
        assert [(user.role, user.vendor_id) for user in found] == [(Role.ADMIN, None)] * 2


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("somebody", PASSWORD, "email: value is not a valid email address: "),
        (EMAIL, "short", "A password has at least 12 characters"),
        (EMAIL, "", "password: "),
    ],
)
def test_what_cannot_become_one(
    shop: Engine, email: str, password: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says why, without the password; nothing is left behind."""
    with Session(shop) as session:
        before = session.scalar(select(func.count()).select_from(User))
    with pytest.raises(UnusableAccount) as caught:
        run(shop, email, stdin=f"{password}\n", monkeypatch=monkeypatch)
    assert caught.value.reason.startswith(reason)
    assert not password or password not in str(caught.value)
    with Session(shop) as session:
        assert session.scalar(select(func.count()).select_from(User)) == before


def test_a_disabled_account(shop: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stays what it is: that somebody has disabled it has a reason."""
    with Session(shop) as session:
        session.execute(update(User).where(User.email == CUSTOMER).values(disabled_at=func.now()))
        session.commit()
    with pytest.raises(AccountDisabled):
        run(shop, CUSTOMER, stdin="", monkeypatch=monkeypatch)


def test_before_the_migrations(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with a way out."""
    with pytest.raises(DatabaseRefused) as caught:
        run(engine, EMAIL, stdin=f"{PASSWORD}\n", monkeypatch=monkeypatch)
    assert caught.value.reason == 'relation "users" does not exist'
