"""Accounts over HTTP, from the registration to the last log out."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie

import httpx
import pytest
from database_scan import rows_with_any_of
from devices import ADMIN, CUSTOMER, Device, device, log_in, refusal
from pydantic import SecretStr
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session as Transaction

from holdfast.engine.profiles import Profile
from marketplace.accounts.delivery import COOKIE
from marketplace.demo_data import PASSWORD, demo_id
from marketplace.entities import AuditEvent, EndReason, Session, User
from marketplace.settings import PasswordSettings, RateSettings, SessionSettings

NEWCOMER = {"email": "New@Example.com", "password": "a good long password"}
LOWER = "new@example.com"


def register(api: httpx.Client, **fields: str) -> dict[str, str]:
    answer = api.post("/auth/register", json={**NEWCOMER, **fields})
    assert answer.status_code == 202, answer.text
    registered: dict[str, str] = answer.json()
    return registered


def verify(
    api: httpx.Client, token: str, *, password: str = NEWCOMER["password"]
) -> httpx.Response:
    return api.post("/auth/verify", json={"token": token, "password": password})


def refresh(api: httpx.Client, token: str) -> httpx.Response:
    return api.post("/auth/refresh", json={"refresh_token": token})


def make_stale(engine: Engine) -> None:
    """The passwords were all given an hour ago."""
    with engine.begin() as connection:
        hour = timedelta(hours=1)
        connection.execute(update(Session).values(authenticated_at=Session.authenticated_at - hour))


def reasons(engine: Engine) -> list[EndReason | None]:
    with Transaction(engine) as transaction:
        return list(transaction.scalars(select(Session.revoked_reason).order_by(Session.id)))


def actions(engine: Engine) -> list[str]:
    with Transaction(engine) as transaction:
        return list(transaction.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


def test_from_registration_to_log_out(api: httpx.Client, shop: Engine) -> None:
    """Register, verify, log in, refresh, log out; each is on record, and no token is stored."""
    registered = register(api, phone_number="+49 30 901820 003")
    assert registered["email"] == LOWER
    assert verify(api, registered["verification_token"]).status_code == 204
    phone = log_in(api, LOWER, password=NEWCOMER["password"])
    account = phone.get("/auth/me").json()
    assert account["email"] == LOWER
    assert (account["phone_number"], account["role"]) == ("+4930901820003", "customer")

    refreshed = refresh(api, phone.refresh_token)
    assert refreshed.headers["cache-control"] == "no-store"
    tokens = refreshed.json()
    assert tokens["token_type"] == "Bearer"
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (300, 14 * 86400)
    assert tokens["session_id"] == phone.session_id
    phone = device(api, tokens)

    assert phone.post("/auth/logout").status_code == 204
    assert refusal(phone.get("/auth/me")) == (401, "invalid_access_token")
    assert refusal(refresh(api, phone.refresh_token)) == (401, "invalid_refresh_token")
    assert actions(shop) == [
        "user.registered",
        "user.verified",
        "session.created",
        "session.refreshed",
        "session.revoked",
    ]
    issued = [registered["verification_token"], phone.refresh_token, tokens["access_token"]]
    assert rows_with_any_of(shop, issued) == []


def test_a_retry_gets_the_same_refresh_token(api: httpx.Client) -> None:
    """A lost answer is asked for again; the access token is a new one."""
    laptop = log_in(api, CUSTOMER)
    first, second = (refresh(api, laptop.refresh_token).json() for _ in range(2))
    assert first["refresh_token"] == second["refresh_token"]
    assert device(api, second).is_logged_in()


def test_a_spent_token_ends_the_session(api: httpx.Client, shop: Engine) -> None:
    """Whoever presents it: the access tokens of the session end with it."""
    laptop = log_in(api, CUSTOMER)
    newer = refresh(api, laptop.refresh_token).json()
    refresh(api, newer["refresh_token"])
    assert refusal(refresh(api, laptop.refresh_token)) == (401, "invalid_refresh_token")
    assert not laptop.is_logged_in()
    assert reasons(shop) == [EndReason.REUSE_DETECTED]
    assert actions(shop)[-1] == "session.reuse_detected"


def test_the_refresh_token_in_a_cookie(api: httpx.Client) -> None:
    """Scripts cannot read it, no other site sends it, no other route gets it; logging out drops it."""
    credentials = {"email": CUSTOMER, "password": PASSWORD, "delivery": "cookie"}
    answer = api.post("/auth/login", json=credentials)
    assert answer.json()["refresh_token"] is None
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "strict")
    assert (cookie["path"], cookie["max-age"]) == ("/auth", str(14 * 86400))

    # httpx, as a browser, sends a Secure cookie over https only: here by hand.
    sent = {"Cookie": f"{COOKIE}={cookie.value}"}
    refreshed = api.post("/auth/refresh", headers=sent)
    assert refreshed.json()["refresh_token"] is None
    successor = SimpleCookie(refreshed.headers["set-cookie"])[COOKIE]
    assert successor.value != cookie.value

    bearer = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    gone = api.post("/auth/logout", headers=bearer)
    assert SimpleCookie(gone.headers["set-cookie"])[COOKIE]["max-age"] == "0"
    sent = {"Cookie": f"{COOKIE}={successor.value}"}
    assert refusal(api.post("/auth/refresh", headers=sent)) == (401, "invalid_refresh_token")


def test_refresh_without_a_token(api: httpx.Client) -> None:
    """Neither in the body nor in a cookie."""
    assert refusal(api.post("/auth/refresh")) == (401, "invalid_refresh_token")


def test_refresh_with_what_is_no_token(api: httpx.Client) -> None:
    """Refused; an empty one is no token at all."""
    for token in ("hfr_", "hfr_AAAA", "x" * 96, "hfr_" + "é" * 92):
        assert refusal(refresh(api, token)) == (401, "invalid_refresh_token")
    assert refusal(refresh(api, "")) == (422, "invalid_request")


def test_wrong_credentials(api: httpx.Client) -> None:
    """Which of the two is wrong is not said."""
    for email, password in ((CUSTOMER, "the wrong password"), ("nobody@example.com", PASSWORD)):
        answer = api.post("/auth/login", json={"email": email, "password": password})
        assert refusal(answer) == (401, "invalid_credentials")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_log_in_needs_a_verified_address(api: httpx.Client, shop: Engine) -> None:
    """Before that an account has no password; one that has one from earlier is told so, with the right one."""
    registered = register(api)
    assert refusal(api.post("/auth/login", json=NEWCOMER)) == (401, "invalid_credentials")
    verify(api, registered["verification_token"])
    assert api.post("/auth/login", json=NEWCOMER).status_code == 200
    with shop.begin() as connection:
        connection.execute(update(User).where(User.email == LOWER).values(is_verified=False))
    assert refusal(api.post("/auth/login", json=NEWCOMER)) == (403, "email_not_verified")
    wrong = {**NEWCOMER, "password": "not the password"}
    assert refusal(api.post("/auth/login", json=wrong)) == (401, "invalid_credentials")


def test_a_verification_token_works_once(api: httpx.Client) -> None:
    """And not at all when it was made up."""
    token = register(api)["verification_token"]
    forged = token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
    for attempt in (forged, "hfv_AAAA", "hfv_é"):
        assert refusal(verify(api, attempt)) == (400, "invalid_verification_token")
    assert verify(api, token).status_code == 204
    assert refusal(verify(api, token)) == (400, "invalid_verification_token")


def test_a_verification_token_expires(api: httpx.Client, shop: Engine) -> None:
    """By the clock of the database."""
    token = register(api)["verification_token"]
    with shop.begin() as connection:
        connection.execute(text("UPDATE email_verifications SET expires_at = now()"))
    assert refusal(verify(api, token)) == (400, "invalid_verification_token")


def test_another_verification_token_replaces_the_first(api: httpx.Client) -> None:
    """The answer is the same for an address that has no account, and for a verified one."""
    token = register(api)["verification_token"]
    for email in (LOWER, CUSTOMER, "nobody@example.com"):
        answer = api.post("/auth/verify/resend", json={"email": email})
        assert (answer.status_code, answer.json()) == (202, None)
    assert refusal(verify(api, token)) == (400, "invalid_verification_token")


def test_production_does_not_give_the_verification_token_away(
    serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is mailed."""
    monkeypatch.setenv("HOLDFAST_ALLOW", "superuser")  # as whom the tests connect
    api = serve(
        profile=Profile.PRODUCTION,
        mail_url="smtp://127.0.0.1:9",
        password=PasswordSettings(),
        rate=RateSettings(),
    )
    assert register(api)["verification_token"] is None


def test_no_registration(api: httpx.Client) -> None:
    """Too short, guessed soon, not an address, not a number, more than one may choose."""
    for fields, expected in (
        ({"password": "password1234"}, (422, "password_too_weak")),
        ({"password": LOWER}, (422, "password_too_weak")),
        ({"password": "short"}, (422, "password_too_short")),
        ({"email": "nobody"}, (422, "invalid_request")),
        ({"phone_number": "0309018200"}, (422, "invalid_request")),
        ({"role": "admin"}, (422, "invalid_request")),
    ):
        assert refusal(api.post("/auth/register", json={**NEWCOMER, **fields})) == expected


def test_passwords_are_in_no_answer(api: httpx.Client) -> None:
    """Not in the one that says what is wrong with the request either."""
    answer = api.post("/auth/register", json={"email": "x", "password": "secret " * 100})
    assert refusal(answer) == (422, "invalid_request")
    assert "secret" not in answer.text


def test_devices(api: httpx.Client, shop: Engine) -> None:
    """Those that are logged in, the current one marked; then those that were, with the reason."""
    phone = log_in(api, CUSTOMER)
    laptop = log_in(api, CUSTOMER)
    listed = laptop.get("/auth/sessions").json()["items"]
    assert [(s["id"], s["is_current"]) for s in listed] == [
        (laptop.session_id, True),
        (phone.session_id, False),
    ]
    assert {s["ip_address"] for s in listed} == {"127.0.0.1"}
    assert {s["user_agent"] for s in listed} == {f"python-httpx/{httpx.__version__}"}

    assert laptop.request("DELETE", f"/auth/sessions/{phone.session_id}").status_code == 204
    assert not phone.is_logged_in()
    ended = laptop.get("/auth/sessions?state=ended").json()["items"]
    assert [(s["id"], s["revoked_reason"]) for s in ended] == [(phone.session_id, "logout")]
    again = laptop.request("DELETE", f"/auth/sessions/{phone.session_id}")
    assert refusal(again) == (404, "session_not_found")
    assert reasons(shop) == [EndReason.LOGOUT, None]


def test_nobody_ends_sessions_of_others(api: httpx.Client) -> None:
    """They do not even exist for them."""
    mine, theirs = log_in(api, CUSTOMER), log_in(api, "customer2@example.com")
    answer = mine.request("DELETE", f"/auth/sessions/{theirs.session_id}")
    assert refusal(answer) == (404, "session_not_found")
    assert theirs.is_logged_in()


@pytest.mark.parametrize(
    ("method", "path", "alive", "reason"),
    [
        ("POST", "/auth/logout", [True, False, True], EndReason.LOGOUT),
        ("POST", "/auth/logout?scope=others", [False, True, False], EndReason.LOGOUT_OTHERS),
        ("POST", "/auth/logout?scope=all", [False, False, False], EndReason.LOGOUT_ALL),
        ("DELETE", "/auth/sessions?except=current", [False, True, False], EndReason.LOGOUT_OTHERS),
    ],
)
def test_log_out(
    api: httpx.Client, shop: Engine, method: str, path: str, alive: list[bool], reason: EndReason
) -> None:
    """This device, the others, all; those of other users go on."""
    devices = [log_in(api, CUSTOMER) for _ in range(3)]
    other = log_in(api, "customer2@example.com")
    assert devices[1].request(method, path).status_code == 204
    assert [device.is_logged_in() for device in devices] == alive
    assert other.is_logged_in()
    assert reasons(shop) == [*(None if is_alive else reason for is_alive in alive), None]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/auth/sessions/018f0000-0000-7000-8000-000000000000"),
        ("DELETE", "/auth/sessions?except=current"),
        ("POST", "/auth/logout?scope=others"),
    ],
)
def test_ending_other_devices_needs_a_fresh_password(
    api: httpx.Client, shop: Engine, method: str, path: str
) -> None:
    """Until it is given once more; a wrong one does not help."""
    laptop = log_in(api, CUSTOMER)
    make_stale(shop)
    assert refusal(laptop.request(method, path)) == (403, "fresh_authentication_needed")
    wrong = laptop.post("/auth/reauthenticate", {"password": "wrong"})
    assert refusal(wrong) == (401, "invalid_credentials")
    assert refusal(laptop.request(method, path)) == (403, "fresh_authentication_needed")
    assert laptop.post("/auth/reauthenticate", {"password": PASSWORD}).status_code == 204
    assert laptop.request(method, path).status_code in {204, 404}


def test_a_refresh_is_no_fresh_password(api: httpx.Client, shop: Engine) -> None:
    """Only the password makes a session fresh."""
    laptop = log_in(api, CUSTOMER)
    make_stale(shop)
    laptop = device(api, refresh(api, laptop.refresh_token).json())
    answer = laptop.request("DELETE", "/auth/sessions?except=current")
    assert refusal(answer) == (403, "fresh_authentication_needed")


def test_another_password_ends_every_session(api: httpx.Client, shop: Engine) -> None:
    """The device that changes it gets a new one."""
    phone, laptop = log_in(api, CUSTOMER), log_in(api, CUSTOMER)
    change = {"current_password": PASSWORD, "new_password": "quite another one"}
    answer = laptop.post("/auth/password", change)
    assert answer.status_code == 200
    assert device(api, answer.json()).is_logged_in()
    assert (phone.is_logged_in(), laptop.is_logged_in()) == (False, False)
    old = api.post("/auth/login", json={"email": CUSTOMER, "password": PASSWORD})
    assert refusal(old) == (401, "invalid_credentials")
    assert log_in(api, CUSTOMER, password="quite another one").is_logged_in()
    assert reasons(shop)[:2] == [EndReason.PASSWORD_CHANGE] * 2


def test_no_other_password(api: httpx.Client) -> None:
    """Without the one that is, or with one that is too short."""
    laptop = log_in(api, CUSTOMER)
    wrong = {"current_password": "wrong", "new_password": "quite another one"}
    assert refusal(laptop.post("/auth/password", wrong)) == (401, "invalid_credentials")
    short = {"current_password": PASSWORD, "new_password": "short"}
    assert refusal(laptop.post("/auth/password", short)) == (422, "password_too_short")
    assert laptop.is_logged_in()


def test_the_least_used_session_makes_room(
    serve: Callable[..., httpx.Client], shop: Engine
) -> None:
    """Beyond the limit."""
    api = serve(session=SessionSettings(max_per_user=2))
    first, second = log_in(api, CUSTOMER), log_in(api, CUSTOMER)
    first = device(api, refresh(api, first.refresh_token).json())
    third = log_in(api, CUSTOMER)
    assert [d.is_logged_in() for d in (first, second, third)] == [True, False, True]
    assert reasons(shop) == [None, EndReason.EVICTED, None]
    assert actions(shop)[-2:] == ["session.evicted", "session.created"]


def test_another_client_is_on_record(api: httpx.Client, shop: Engine) -> None:
    """A refresh from elsewhere is no reason to refuse, but one to write down."""
    laptop = log_in(api, CUSTOMER)
    api.headers["User-Agent"] = "another browser"
    laptop = device(api, refresh(api, laptop.refresh_token).json())
    assert actions(shop)[-1] == "session.client_changed"
    assert laptop.get("/auth/sessions").json()["items"][0]["user_agent"] == "another browser"


def test_no_access_token(api: httpx.Client) -> None:
    """None, none of ours, another scheme, one that nobody signed."""
    assert refusal(api.get("/auth/me")) == (401, "invalid_access_token")
    for authorization in ("Bearer", "Bearer x", "Basic eA==", "Bearer eyJhbGciOiJub25lIn0.e30."):
        answer = api.get("/auth/me", headers={"Authorization": authorization})
        assert refusal(answer) == (401, "invalid_access_token")


def test_an_access_token_ends(serve: Callable[..., httpx.Client]) -> None:
    """Its session goes on: it is refreshed."""
    seconds = timedelta(seconds=1)
    api = serve(session=SessionSettings(access=seconds, grace=seconds / 2))
    laptop = log_in(api, CUSTOMER)
    expired = Device(
        api=api,
        access_token=laptop.access_token,
        refresh_token=laptop.refresh_token,
        session_id=laptop.session_id,
    )
    while expired.is_logged_in():
        pass
    assert refresh(api, laptop.refresh_token).status_code == 200


@pytest.mark.parametrize(
    "ended", ["expires_at = now()", "expires_at = now(), absolute_expires_at = now()"]
)
def test_a_session_expires(api: httpx.Client, shop: Engine, ended: str) -> None:
    """When it is idle too long, and however busy in the end."""
    laptop = log_in(api, CUSTOMER)
    with shop.begin() as connection:
        connection.execute(text(f"UPDATE sessions SET {ended}"))
    assert refusal(laptop.get("/auth/me")) == (401, "invalid_access_token")
    assert refusal(refresh(api, laptop.refresh_token)) == (401, "invalid_refresh_token")


def test_sliding_ends_at_the_absolute_end(api: httpx.Client, shop: Engine) -> None:
    """A refresh moves the end by the idle time, never past the absolute one."""
    laptop = log_in(api, CUSTOMER)
    with shop.begin() as connection:
        connection.execute(
            text(
                "UPDATE sessions SET expires_at = now() + '1 h', absolute_expires_at = now() + '2 h'"
            )
        )
    tokens = refresh(api, laptop.refresh_token).json()
    assert 7190 <= tokens["refresh_expires_in"] <= 7200


def test_a_hash_of_other_parameters_is_renewed(
    serve: Callable[..., httpx.Client], shop: Engine
) -> None:
    """With the next log in, which has the password."""
    api = serve(password=PasswordSettings(memory_kib=16, passes=1, lanes=1))
    hashes = []
    for _ in range(3):
        with Transaction(shop) as transaction:
            hashes += transaction.scalars(select(User.password_hash).where(User.email == CUSTOMER))
        log_in(api, CUSTOMER)
    assert ["m=16," in password_hash for password_hash in hashes] == [False, True, True]
    assert hashes[1] == hashes[2]


def test_an_address_of_somebody_else(api: httpx.Client, shop: Engine) -> None:
    """Whoever registers it first, and however often: the password is of whoever has the letter."""
    theirs, mine = "a password of the attacker", "a password of the owner"
    register(api, password=theirs)
    token = register(api, password=mine)["verification_token"]
    later = register(api, password=theirs)["verification_token"]
    assert refusal(verify(api, token, password=mine)) == (400, "invalid_verification_token")
    assert verify(api, later, password=mine).status_code == 204
    assert log_in(api, LOWER, password=mine).is_logged_in()
    wrong = {"email": LOWER, "password": theirs}
    assert refusal(api.post("/auth/login", json=wrong)) == (401, "invalid_credentials")
    with Transaction(shop) as transaction:
        known = select(User).where(User.email == LOWER)
        assert len(transaction.scalars(known).all()) == 1


def test_the_answer_for_a_known_address(api: httpx.Client) -> None:
    """Is that for a new one, whatever of it is known: address or phone number; only the letter tells."""
    asked = [
        {"email": CUSTOMER},
        {"email": "nobody-yet@example.com"},
        {"email": "nobody-else@example.com", "phone_number": "+4930901820001"},
    ]
    for form in asked:
        answer = api.post("/auth/register", json=form)
        assert (answer.status_code, set(answer.json())) == (202, {"email", "verification_token"})
        assert answer.json()["email"] == form["email"]
    for form in asked:
        answer = api.post("/auth/verify/resend", json={"email": form["email"]})
        assert (answer.status_code, answer.json()) == (202, None)
        answer = api.post("/auth/password/forgotten", json={"email": form["email"]})
        assert (answer.status_code, set(answer.json())) == (202, {"email", "token"})
        assert answer.json()["email"] == form["email"]


def test_a_forgotten_password(api: httpx.Client, shop: Engine) -> None:
    """The letter sets another one and ends every session; a weak one is refused, and the token works still."""
    phone = log_in(api, CUSTOMER)
    token = api.post("/auth/register", json={"email": CUSTOMER}).json()["verification_token"]
    assert phone.is_logged_in()
    assert refusal(verify(api, token, password="aaaaaaaaaaaa")) == (422, "password_too_weak")
    assert verify(api, token).status_code == 204
    assert not phone.is_logged_in()
    assert log_in(api, CUSTOMER, password=NEWCOMER["password"]).is_logged_in()
    assert "user.password_changed" in actions(shop)


def test_a_password_that_is_guessed_soon(api: httpx.Client) -> None:
    """Whatever makes it weak, and wherever it is set: a list, a pattern, or what is known of its owner."""
    phone = log_in(api, CUSTOMER)
    for weak in ("password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiop12", CUSTOMER):
        token = api.post("/auth/register", json={"email": CUSTOMER}).json()["verification_token"]
        change = {"current_password": PASSWORD, "new_password": weak}
        for answer in (
            api.post("/auth/register", json={"email": CUSTOMER, "password": weak}),
            verify(api, token, password=weak),
            phone.post("/auth/password", change),
        ):
            assert refusal(answer) == (422, "password_too_weak"), weak


def test_text_that_is_none(api: httpx.Client) -> None:
    """Half of a surrogate pair in whatever field of whatever body is 422, never a mistake of ours."""
    phone = log_in(api, CUSTOMER)
    half = "\\ud800 a long password"
    document = api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    asked = 0
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            body = route.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or path == "/payments/webhook":
                continue
            schema = schemas[body["schema"].get("$ref", "/Refresh").rpartition("/")[2]]
            for field in schema["properties"]:
                content = f'{{"{field}": "{half}"}}'
                named = re.sub(r"{\\w+}", str(demo_id(CUSTOMER)), path)
                answer = phone.api.request(
                    method.upper(),
                    named,
                    content=content,
                    headers={
                        "Content-Type": "application/json",
                        "Authorization": f"Bearer {phone.access_token}",
                    },
                )
                assert answer.status_code in {403, 422}, (path, field, answer.text)
                asked += 1
    for field, form in {
        "password": {"email": CUSTOMER},
        "new_password": {"current_password": PASSWORD},
        "current_password": {"new_password": PASSWORD},
    }.items():
        for path in ("/auth/login", "/auth/register", "/auth/reauthenticate", "/auth/password"):
            content = json.dumps({**form, field: "\ud800 a long password"})
            answer = phone.api.post(
                path,
                content=content,
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {phone.access_token}",
                },
            )
            assert answer.status_code == 422, (path, field, answer.text)
    assert asked > 30


def test_failed_log_ins_are_on_record(api: httpx.Client, shop: Engine) -> None:
    """Whatever failed, with its reason; an administrator reads it, and that is on record as well."""
    wrong = {"email": CUSTOMER, "password": "not the password"}
    for _ in range(2):
        api.post("/auth/login", json=wrong)
    api.post("/auth/login", json={**wrong, "email": "nobody@example.com"})
    phone = log_in(api, CUSTOMER)
    phone.post("/auth/reauthenticate", {"password": "not the password"})
    admin = log_in(api, ADMIN)
    path = f"/admin/audit-events?user_id={demo_id(CUSTOMER)}&action=session.refused"
    found = admin.get(path).json()["items"]
    assert [record["reason"] for record in found] == [
        "reauthentication",
        "wrong_password",
        "wrong_password",
    ]
    for path in ("/admin/users", f"/admin/users/{demo_id(CUSTOMER)}/sessions", "/admin/orders"):
        assert admin.get(path).status_code == 200
    order_id = phone.get("/orders").json()["items"][0]["id"]
    assert admin.get(f"/orders/{order_id}").status_code == 200
    reads = admin.get("/admin/audit-events?action=admin.read&limit=100").json()["items"]
    assert [read["reason"] for read in reads][::-1][:5] == [
        "/admin/audit-events",
        "/admin/users",
        "/admin/users/{user_id}/sessions",
        "/admin/orders",
        order_id.replace("-", ""),
    ]
    assert {read["actor_id"] for read in reads} == {str(demo_id(ADMIN))}
    first = admin.get("/admin/audit-events?limit=2").json()
    second = admin.get(f"/admin/audit-events?limit=2&cursor={first['next_cursor']}").json()
    ids = [record["id"] for record in (*first["items"], *second["items"])]
    assert ids == sorted(ids, reverse=True)


def test_the_server_key_changes(serve: Callable[..., httpx.Client]) -> None:
    """In either direction, while two are accepted: tokens and their retries go on, and nobody is logged out."""
    before, after = SecretStr(14 * "one key "), SecretStr(14 * "another key ")
    first = serve(server_key=before, server_key_also=after)
    second = serve(server_key=after, server_key_also=before)
    only_the_new = serve(server_key=after)
    old = log_in(first, CUSTOMER)
    here, there = refresh(first, old.refresh_token), refresh(second, old.refresh_token)
    assert here.json()["refresh_token"] == there.json()["refresh_token"]
    child = refresh(second, there.json()["refresh_token"]).json()
    assert (
        refresh(first, there.json()["refresh_token"]).json()["refresh_token"]
        == child["refresh_token"]
    )
    for api in (first, second, only_the_new):
        assert device(api, child).get("/auth/me").status_code == 200
    assert refusal(refresh(only_the_new, old.refresh_token)) == (401, "invalid_refresh_token")
