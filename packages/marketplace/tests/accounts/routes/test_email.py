"""Another e-mail address: confirmed by its letter, told to both, and nothing told to anybody else."""

import httpx
from devices import CUSTOMER, VENDOR, log_in, refusal
from letters import letters_of
from sqlalchemy import Engine

NEW = "somebody.new@example.com"


def test_the_address_changes(api: httpx.Client, shop: Engine) -> None:
    """Once the letter's token is used, once; every session ends, both addresses are told, the new one logs in."""
    owner = log_in(api, CUSTOMER)
    asked = owner.post("/auth/email", {"new_email": NEW.title()})
    assert asked.status_code == 202
    assert asked.json()["new_email"] == NEW
    assert owner.get("/auth/me").json()["email"] == CUSTOMER
    confirm = {"token": asked.json()["token"]}
    assert api.post("/auth/email/confirm", json=confirm).status_code == 204
    assert not owner.is_logged_in()
    again = api.post("/auth/email/confirm", json=confirm)
    assert refusal(again) == (400, "invalid_verification_token")
    assert log_in(api, NEW).is_logged_in()
    assert sorted(letters_of(shop)) == [
        (CUSTOMER, "email_change_asked"),
        (CUSTOMER, "email_changed"),
        (NEW, "email_change"),
        (NEW, "email_changed"),
    ]


def test_who_has_an_account_is_not_told(api: httpx.Client, shop: Engine) -> None:
    """The answer to an address that has one is that to any other, but for the token that development shows."""
    owner = log_in(api, CUSTOMER)
    answers = [owner.post("/auth/email", {"new_email": each}) for each in (NEW, VENDOR)]
    assert {answer.status_code for answer in answers} == {202}
    assert [answer.json()["token"] is None for answer in answers] == [False, True]
    assert (VENDOR, "email_taken") in letters_of(shop)


def test_another_password_ends_it(api: httpx.Client) -> None:
    """Whoever asked for it in somebody else's session gets nothing by it."""
    owner = log_in(api, CUSTOMER)
    token = owner.post("/auth/email", {"new_email": NEW}).json()["token"]
    forgotten = api.post("/auth/password/forgotten", json={"email": CUSTOMER}).json()["token"]
    reset = {"token": forgotten, "password": "quite another password"}
    assert api.post("/auth/password/reset", json=reset).status_code == 204
    confirmed = api.post("/auth/email/confirm", json={"token": token})
    assert refusal(confirmed) == (400, "invalid_verification_token")


def test_an_address_that_was_taken_meanwhile(api: httpx.Client) -> None:
    """By a verified account: refused. By one that nobody has verified: whoever has the letter has the address."""
    owner = log_in(api, CUSTOMER)
    token = owner.post("/auth/email", {"new_email": NEW}).json()["token"]
    registered = api.post("/auth/register", json={"email": NEW}).json()["verification_token"]
    verified = {"token": registered, "password": "quite another password"}
    assert api.post("/auth/verify", json=verified).status_code == 204
    taken = api.post("/auth/email/confirm", json={"token": token})
    assert refusal(taken) == (409, "email_taken")
    other = "another.new@example.com"
    token = owner.post("/auth/email", {"new_email": other}).json()["token"]
    assert api.post("/auth/register", json={"email": other}).status_code == 202
    assert api.post("/auth/email/confirm", json={"token": token}).status_code == 204


def test_a_forgotten_password(api: httpx.Client) -> None:
    """A token of the letter works once, ends every session, and of no kind stands in for another."""
    owner = log_in(api, CUSTOMER)
    known = api.post("/auth/password/forgotten", json={"email": CUSTOMER})
    unknown = api.post("/auth/password/forgotten", json={"email": "nobody@example.com"})
    assert (known.status_code, unknown.status_code) == (202, 202)
    assert unknown.json() == {"email": "nobody@example.com", "token": None}
    token = known.json()["token"]
    assert refusal(api.post("/auth/email/confirm", json={"token": token}))[0] == 400
    reset = {"token": token, "password": "quite another password"}
    assert api.post("/auth/password/reset", json=reset).status_code == 204
    assert not owner.is_logged_in()
    assert refusal(api.post("/auth/password/reset", json=reset)) == (
        400,
        "invalid_verification_token",
    )
    assert log_in(api, CUSTOMER, password="quite another password").is_logged_in()
