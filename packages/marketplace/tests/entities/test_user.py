"""What the database does not take for a user, whatever the application does."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from marketplace.entities import Role, User


def user(**fields: object) -> User:
    return User(**{"email": "new@example.com", "password_hash": "-", **fields})


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"email": "New@example.com"}, "ck_users_email_lower_case"),
        ({"email": "customer@example.com"}, "ix_users_email"),
        ({"phone_number": "030 901820"}, "ck_users_phone_number_e164"),
        ({"role": Role.VENDOR}, "ck_users_vendor_of_staff"),
    ],
)
def test_refused(shop: Engine, fields: dict[str, object], constraint: str) -> None:
    """Each by the constraint or the unique index that says it."""
    with Session(shop) as session:
        session.add(user(**fields))
        with pytest.raises(IntegrityError) as refusal:
            session.commit()
    assert refusal.value.orig is not None
    assert refusal.value.orig.diag.constraint_name == constraint  # type: ignore[attr-defined]


def test_a_new_user_is_a_customer_to_be_verified(migrated: Engine) -> None:
    """What nobody said is what the database says; no phone number is fine, twice."""
    with Session(migrated) as session:
        session.add_all([one := user(), user(email="other@example.com")])
        session.commit()
        assert (one.role, one.is_verified, one.phone_number, one.id.version) == (
            Role.CUSTOMER,
            False,
            None,
            7,
        )
