"""How often log in and refresh may be asked, by address and by account."""

from collections.abc import Callable

import httpx
from devices import CUSTOMER, VENDOR, log_in, refusal

from marketplace.demo_data import PASSWORD
from marketplace.settings import RateSettings, RateStorage

OFTEN = "100000/minute"


def rates(**rules: str) -> RateSettings:
    rest = {name: OFTEN for name in RateSettings.model_fields if name != "storage"}
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


def from_address(api: httpx.Client, address: str) -> httpx.Client:
    api.headers["X-Forwarded-For"] = address
    return api


def test_nobody_locks_an_account(serve: Callable[..., httpx.Client]) -> None:
    """Whatever somebody asks about an account from elsewhere, its user logs in, and gets a letter."""
    rules = rates(login_per_account="2/minute", letters_per_account="2/minute")
    api = serve(rate=rules, trusted_proxies=1)
    from_address(api, "198.51.100.1")
    for path in ("/auth/verify/resend", "/auth/password/forgotten", "/auth/register"):
        for _ in range(5):
            api.post(path, json={"email": CUSTOMER})
    for _ in range(2):
        fail_to_log_in(api, CUSTOMER)
    assert_too_many(fail_to_log_in(api, CUSTOMER))
    from_address(api, "203.0.113.9")
    phone = log_in(api, CUSTOMER)
    assert phone.post("/auth/reauthenticate", {"password": PASSWORD}).status_code == 204
    assert api.post("/auth/password/forgotten", json={"email": CUSTOMER}).status_code == 202


def test_only_failures_count(serve: Callable[..., httpx.Client]) -> None:
    """However often somebody logs in, or proves the password, with the right one."""
    api = serve(rate=rates(login_per_account="2/minute"))
    for _ in range(5):
        phone = log_in(api, CUSTOMER)
        assert phone.post("/auth/reauthenticate", {"password": PASSWORD}).status_code == 204


def test_many_addresses_guess_one_password(serve: Callable[..., httpx.Client]) -> None:
    """However many they are: beyond some failures only addresses that the user has had before may try."""
    api = serve(rate=rates(login_failures_per_account="3/hour"), trusted_proxies=1)
    log_in(from_address(api, "203.0.113.9"), CUSTOMER)
    for number in range(3):
        fail_to_log_in(from_address(api, f"198.51.100.{number}"), CUSTOMER)
    assert refusal(fail_to_log_in(from_address(api, "198.51.100.77"), CUSTOMER)) == (
        429,
        "too_many_requests",
    )
    assert log_in(from_address(api, "203.0.113.9"), CUSTOMER).is_logged_in()
    assert log_in(from_address(api, "198.51.100.77"), VENDOR).is_logged_in()


def test_addresses_of_one_network_of_ipv6(serve: Callable[..., httpx.Client]) -> None:
    """Whichever of the 2^64 addresses of a /64: they are one client."""
    api = serve(rate=rates(login_per_ip="3/minute"), trusted_proxies=1)
    for number in range(3):
        fail_to_log_in(from_address(api, f"2001:db8:1:2::{number:x}"), f"u{number}@example.com")
    assert_too_many(fail_to_log_in(from_address(api, "2001:db8:1:2:ffff::1"), VENDOR))
    assert log_in(from_address(api, "2001:db8:1:3::1"), VENDOR).is_logged_in()


def test_letters_to_one_address(serve: Callable[..., httpx.Client]) -> None:
    """However many clients ask for them: nobody's mailbox is filled, and nobody is told so."""
    api = serve(rate=rates(letters_in_all="2/day"), trusted_proxies=1)
    tokens = []
    for number in range(4):
        from_address(api, f"198.51.100.{number}")
        answer = api.post("/auth/register", json={"email": CUSTOMER})
        assert answer.status_code == 202
        tokens.append(answer.json()["verification_token"])
    assert [token is not None for token in tokens] == [True, True, False, False]


def test_processes_that_count_together(serve: Callable[..., httpx.Client]) -> None:
    """However many processes serve: a client passes as often as the rule says, and begins anew afterwards."""
    rules = rates(login_per_account="4/minute", login_per_ip="6/minute").model_copy(
        update={"storage": RateStorage.DATABASE}
    )
    one, two = serve(rate=rules), serve(rate=rules)
    answers = [fail_to_log_in(api, CUSTOMER).status_code for api in (one, two) * 3]
    assert answers == [401] * 4 + [429] * 2
    assert_too_many(fail_to_log_in(one, VENDOR))
    with_success = serve(rate=rules.model_copy(update={"login_per_ip": OFTEN}))
    for _ in range(6):
        log_in(with_success, VENDOR)
