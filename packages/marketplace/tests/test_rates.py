"""How often log in and refresh may be asked, by address and by account."""

from collections.abc import Callable

import httpx
from devices import CUSTOMER, VENDOR, log_in, refusal

from marketplace.settings import RateSettings

OFTEN = "100000/minute"


def rates(**rules: str) -> RateSettings:
    rest = dict.fromkeys(
        ("login_per_ip", "login_per_account", "refresh_per_ip", "refresh_per_account"), OFTEN
    )
    return RateSettings(**{**rest, **rules})


def fail_to_log_in(api: httpx.Client, email: str) -> httpx.Response:
    return api.post("/auth/login", json={"email": email, "password": "wrong"})


def assert_too_many(answer: httpx.Response) -> None:
    assert refusal(answer) == (429, "too_many_requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_log_ins_of_an_account(serve: Callable[..., httpx.Client]) -> None:
    """Whoever tries; other accounts are not concerned."""
    api = serve(rate=rates(login_per_account="2/minute"))
    for _ in range(2):
        assert refusal(fail_to_log_in(api, CUSTOMER)) == (401, "invalid_credentials")
    assert_too_many(fail_to_log_in(api, CUSTOMER))
    assert log_in(api, VENDOR).is_logged_in()


def test_log_ins_from_an_address(serve: Callable[..., httpx.Client]) -> None:
    """Whomever they are about; registrations count too."""
    api = serve(rate=rates(login_per_ip="2/minute"), trusted_proxies=1)
    api.headers["X-Forwarded-For"] = "203.0.113.9"
    log_in(api, CUSTOMER)
    fail_to_log_in(api, "nobody@example.com")
    assert_too_many(fail_to_log_in(api, VENDOR))
    newcomer = {"email": "new@example.com", "password": "a good long password"}
    assert_too_many(api.post("/auth/register", json=newcomer))
    api.headers["X-Forwarded-For"] = "203.0.113.10"
    assert log_in(api, VENDOR).is_logged_in()


def test_refreshes(serve: Callable[..., httpx.Client]) -> None:
    """Of a session, and from an address; made-up tokens count for the address."""
    api = serve(rate=rates(refresh_per_ip="4/minute", refresh_per_account="1/minute"))
    first, second = log_in(api, CUSTOMER), log_in(api, CUSTOMER)

    def refresh(token: str) -> httpx.Response:
        return api.post("/auth/refresh", json={"refresh_token": token})

    assert refresh(first.refresh_token).status_code == 200
    assert_too_many(refresh(first.refresh_token))
    assert refresh(second.refresh_token).status_code == 200
    assert refusal(refresh("made up")) == (401, "invalid_refresh_token")
    assert_too_many(refresh("made up"))
