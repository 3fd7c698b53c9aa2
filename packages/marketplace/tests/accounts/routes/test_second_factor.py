"""A second factor, from the offer to its removal, and what it keeps out."""

from collections.abc import Callable

import httpx
import pyotp
import pytest
from database_scan import rows_with_any_of
from devices import ADMIN, CUSTOMER, Device, device, log_in, refusal
from pydantic import SecretStr
from sqlalchemy import Engine, update

from marketplace.accounts.second_factor import step_of
from marketplace.demo_data import PASSWORD
from marketplace.entities import SecondFactor
from marketplace.secrets import CannotOpen, Vault
from marketplace.settings import RateSettings

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code_of(secret: str) -> str:
    return pyotp.TOTP(secret).now()


def credentials(email: str, code: str | None = None) -> dict[str, str]:
    return {"email": email, "password": PASSWORD} | ({} if code is None else {"code": code})


def set_up(owner: Device) -> tuple[str, list[str]]:
    """Gives the secret and the recovery codes."""
    offered = owner.post("/auth/second-factor").json()
    assert pyotp.parse_uri(offered["uri"]).secret == offered["secret"]
    confirmed = owner.post("/auth/second-factor/confirm", {"code": code_of(offered["secret"])})
    assert confirmed.status_code == 200, confirmed.text
    return offered["secret"], confirmed.json()["recovery_codes"]


def forget_last_code(engine: Engine) -> None:
    """As if half a minute had passed: the next code is not the one that was used."""
    with engine.begin() as connection:
        connection.execute(update(SecondFactor).values(last_step=SecondFactor.last_step - 3))


def test_from_the_offer_to_the_removal(api: httpx.Client, shop: Engine) -> None:
    """A password alone logs in no longer; a code does once, a recovery code once; then it is removed."""
    owner = log_in(api, CUSTOMER)
    secret, recovery = set_up(owner)
    assert owner.get("/auth/second-factor").json() == {
        "is_in_force": True,
        "recovery_codes_left": 10,
    }
    assert refusal(api.post("/auth/login", json=credentials(CUSTOMER))) == (
        401,
        "second_factor_needed",
    )
    used = api.post("/auth/login", json=credentials(CUSTOMER, code_of(secret)))
    assert refusal(used) == (401, "invalid_second_factor")  # it has confirmed the secret
    forget_last_code(shop)
    answer = api.post("/auth/login", json=credentials(CUSTOMER, code_of(secret)))
    assert answer.status_code == 200, answer.text
    again = api.post("/auth/login", json=credentials(CUSTOMER, code_of(secret)))
    assert refusal(again) == (401, "invalid_second_factor")
    spelt_otherwise = recovery[0].lower().replace("-", " ")
    for status in (200, 401):
        tried = api.post("/auth/login", json=credentials(CUSTOMER, spelt_otherwise))
        assert tried.status_code == status, tried.text
    forget_last_code(shop)
    here = device(api, answer.json())
    assert refusal(here.post("/auth/second-factor")) == (409, "second_factor_in_force")
    assert here.post("/auth/second-factor/remove", {"code": code_of(secret)}).status_code == 204
    assert api.post("/auth/login", json=credentials(CUSTOMER)).status_code == 200
    assert rows_with_any_of(shop, [secret, *recovery]) == []


def test_whatever_asks_for_the_password_asks_for_the_code(api: httpx.Client, shop: Engine) -> None:
    """Log in, the password once more, another password: each is refused without one, and changes nothing."""
    owner = log_in(api, CUSTOMER)
    secret, _ = set_up(owner)
    asked = {
        "/auth/login": credentials(CUSTOMER),
        "/auth/reauthenticate": {"password": PASSWORD},
        "/auth/password": {"current_password": PASSWORD, "new_password": "quite another password"},
    }
    for path, body in asked.items():
        assert refusal(owner.post(path, body)) == (401, "second_factor_needed")
        wrong = owner.post(path, body | {"code": "000000"})
        assert refusal(wrong) == (401, "invalid_second_factor")
    for path, body in asked.items():
        forget_last_code(shop)
        right = owner.post(path, body | {"code": code_of(secret)})
        assert right.status_code in {200, 204}, right.text


def test_a_forgotten_password_leaves_it_in_force(api: httpx.Client) -> None:
    """Whoever reads the mail sets a password, and needs the authenticator still."""
    set_up(log_in(api, CUSTOMER))
    token = api.post("/auth/password/forgotten", json={"email": CUSTOMER}).json()["token"]
    reset = api.post("/auth/password/reset", json={"token": token, "password": PASSWORD})
    assert reset.status_code == 204, reset.text
    assert refusal(api.post("/auth/login", json=credentials(CUSTOMER))) == (
        401,
        "second_factor_needed",
    )


def test_codes_are_not_guessed(serve: Callable[..., httpx.Client]) -> None:
    """Not at the log in, nor where somebody is logged in: they are counted as passwords are."""
    api = serve(rate=RateSettings(login_per_ip="1000/minute", login_per_account="5/minute"))
    owner = log_in(api, CUSTOMER)
    set_up(owner)
    tried = [
        ("/auth/login", credentials(CUSTOMER, "000000")),
        ("/auth/reauthenticate", {"password": PASSWORD, "code": "000000"}),
        ("/auth/second-factor/remove", {"code": "000000"}),
    ]
    for path, body in tried:
        answers = [owner.post(path, body).status_code for _ in range(8)]
        assert 429 in answers
        assert set(answers) <= {401, 429}


def test_an_administrator_needs_one(serve: Callable[..., httpx.Client]) -> None:
    """Where the setting says so: without it no route does more than for a customer; with it each does."""
    api = serve(second_factor_for_administrators=True)
    admin = log_in(api, ADMIN)
    order = log_in(api, CUSTOMER).get("/orders").json()["items"][0]["id"]
    for path in ("/admin/users", "/low-stock", "/admin/orders", "/admin/dead-letters"):
        assert refusal(admin.get(path)) == (403, "second_factor_required")
    assert refusal(admin.get(f"/orders/{order}")) == (404, "order_not_found")
    set_up(admin)
    for path in ("/admin/users", "/low-stock", f"/orders/{order}"):
        assert admin.get(path).status_code == 200


def test_an_administrator_removes_a_lost_one(api: httpx.Client) -> None:
    """Every session of the user ends; the password alone logs in again."""
    owner, admin = log_in(api, CUSTOMER), log_in(api, ADMIN)
    set_up(owner)
    user_id = owner.get("/auth/me").json()["id"]
    path = f"/admin/users/{user_id}/second-factor"
    assert admin.request("DELETE", path).status_code == 204
    assert not owner.is_logged_in()
    assert log_in(api, CUSTOMER).get("/auth/me").json()["has_second_factor"] is False
    assert refusal(admin.request("DELETE", path)) == (404, "no_second_factor")


def test_the_key_changes(serve: Callable[..., httpx.Client], shop: Engine) -> None:
    """While two are accepted a code works; once the secrets are sealed anew, the old key may go."""
    before, after = SecretStr(14 * "one key "), SecretStr(14 * "another key ")
    secret, _ = set_up(log_in(serve(server_key=before), CUSTOMER))
    forget_last_code(shop)
    both = serve(server_key=after, server_key_also=before)
    answer = both.post("/auth/login", json=credentials(CUSTOMER, code_of(secret)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("periods", "is_right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_clocks_may_be_a_period_apart(periods: int, is_right: bool) -> None:
    """In either direction, and no more."""
    now = 1_800_000_000
    code = pyotp.TOTP(SECRET).generate_otp(now // 30 + periods)
    assert (step_of(code, secret=SECRET, now=now) == now // 30 + periods) is is_right


def test_a_sealed_secret_is_of_one_user() -> None:
    """It is opened with its key, about the user whose it is, and not otherwise."""
    first, second = SecretStr("one key"), SecretStr("another key")
    old, both = Vault([first], purpose="x"), Vault([second, first], purpose="x")
    sealed = old.seal(SECRET, about=b"me")
    assert both.open(sealed, about=b"me") == SECRET
    others = (
        (Vault([second], purpose="x"), sealed, b"me"),
        (Vault([first], purpose="y"), sealed, b"me"),
        (old, sealed, b"somebody else"),
        (old, sealed[:-1], b"me"),
        (old, b"", b"me"),
    )
    for vault, text, about in others:
        with pytest.raises(CannotOpen):
            vault.open(text, about=about)
