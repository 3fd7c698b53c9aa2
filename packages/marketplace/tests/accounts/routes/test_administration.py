"""What administrators do to accounts, and that nobody else does."""

import httpx
import pytest
from devices import ADMIN, CUSTOMER, VENDOR, device, log_in, refusal
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session as Transaction

from marketplace.demo_data import PASSWORD, demo_id
from marketplace.entities import AuditEvent, EndReason, Session

SOMEBODY = demo_id(CUSTOMER)
NOBODY = demo_id("nobody")
ROUTES = [
    ("GET", "/admin/users"),
    ("GET", f"/admin/users/{SOMEBODY}/sessions"),
    ("GET", "/admin/audit-events"),
    ("DELETE", f"/admin/users/{SOMEBODY}/sessions"),
    ("DELETE", f"/admin/sessions/{NOBODY}"),
    ("POST", f"/admin/users/{SOMEBODY}/disable"),
    ("POST", f"/admin/users/{SOMEBODY}/enable"),
    ("PUT", f"/admin/users/{SOMEBODY}/role"),
]
CHANGES = [route for route in ROUTES if route[0] != "GET"]
ROLE = {"role": "customer"}


def body(method: str) -> dict[str, str] | None:
    return ROLE if method == "PUT" else None


@pytest.mark.parametrize("email", [CUSTOMER, VENDOR])
def test_only_for_administrators(api: httpx.Client, email: str) -> None:
    """Customers and vendors are told so; who is not logged in is told that."""
    somebody = log_in(api, email)
    for method, path in ROUTES:
        answer = somebody.request(method, path, body(method))
        assert refusal(answer) == (403, "role_not_allowed")
        answer = api.request(method, path, json=body(method))
        assert refusal(answer) == (401, "invalid_access_token")


def test_changes_need_a_fresh_password(api: httpx.Client, shop: Engine) -> None:
    """Also an administrator's."""
    admin = log_in(api, ADMIN)
    with shop.begin() as connection:
        connection.execute(text("UPDATE sessions SET authenticated_at = now() - interval '1 h'"))
    for method, path in CHANGES:
        answer = admin.request(method, path, body(method))
        assert refusal(answer) == (403, "fresh_authentication_needed")


def test_nobody_to_change(api: httpx.Client) -> None:
    """404."""
    admin = log_in(api, ADMIN)
    for method, path in CHANGES:
        answer = admin.request(method, path.replace(str(SOMEBODY), str(NOBODY)), body(method))
        assert refusal(answer) in {(404, "user_not_found"), (404, "session_not_found")}


def test_users_by_e_mail(api: httpx.Client) -> None:
    """Page by page; filtered by whether they are verified."""
    admin = log_in(api, ADMIN)
    seen: list[str] = []
    path = "/admin/users?limit=2"
    while path:
        page = admin.get(path).json()
        seen += [user["email"] for user in page["items"]]
        cursor = page["next_cursor"]
        path = f"/admin/users?limit=2&cursor={cursor}" if cursor else ""
    assert seen == sorted(seen)
    assert len(seen) == 6
    assert admin.get("/admin/users?is_verified=false").json() == {"items": [], "next_cursor": None}


def test_ending_the_sessions_of_a_user(api: httpx.Client, shop: Engine) -> None:
    """On record with the one who did it."""
    admin, phone, laptop = log_in(api, ADMIN), log_in(api, CUSTOMER), log_in(api, CUSTOMER)
    listed = admin.get(f"/admin/users/{SOMEBODY}/sessions").json()["items"]
    assert {session["id"] for session in listed} == {phone.session_id, laptop.session_id}

    assert admin.request("DELETE", f"/admin/sessions/{phone.session_id}").status_code == 204
    assert (phone.is_logged_in(), laptop.is_logged_in()) == (False, True)
    assert admin.request("DELETE", f"/admin/users/{SOMEBODY}/sessions").status_code == 204
    assert not laptop.is_logged_in()
    with Transaction(shop) as transaction:
        ended = select(Session.revoked_reason).where(Session.user_id == SOMEBODY)
        assert list(transaction.scalars(ended)) == [EndReason.ADMIN] * 2
        actors = select(AuditEvent.actor_id).where(AuditEvent.action == "session.revoked")
        assert list(transaction.scalars(actors)) == [demo_id(ADMIN)] * 2


def test_a_disabled_user(api: httpx.Client) -> None:
    """Logged out everywhere, and cannot log in until enabled again."""
    admin, phone = log_in(api, ADMIN), log_in(api, CUSTOMER)
    assert admin.post(f"/admin/users/{SOMEBODY}/disable").status_code == 204
    assert not phone.is_logged_in()
    credentials = {"email": CUSTOMER, "password": PASSWORD}
    assert refusal(api.post("/auth/login", json=credentials)) == (401, "invalid_credentials")
    assert admin.post(f"/admin/users/{SOMEBODY}/enable").status_code == 204
    assert log_in(api, CUSTOMER).is_logged_in()
    assert not phone.is_logged_in()


def test_another_role(api: httpx.Client) -> None:
    """In force with the next request, without another log in."""
    admin, somebody = log_in(api, ADMIN), log_in(api, CUSTOMER)
    vendor_id = str(demo_id("Copper Kettle"))
    staff = {"role": "vendor", "vendor_id": vendor_id}
    assert admin.request("PUT", f"/admin/users/{SOMEBODY}/role", staff).status_code == 204
    account = somebody.get("/auth/me").json()
    assert (account["role"], account["vendor_id"]) == ("vendor", vendor_id)
    assert (
        admin.request("PUT", f"/admin/users/{SOMEBODY}/role", {"role": "admin"}).status_code == 204
    )
    assert somebody.get("/admin/users").status_code == 200


def test_no_such_role(api: httpx.Client) -> None:
    """Staff belong to a vendor that exists, others to none."""
    admin = log_in(api, ADMIN)
    for role, expected in (
        ({"role": "vendor", "vendor_id": str(NOBODY)}, (422, "unknown_vendor")),
        ({"role": "vendor"}, (422, "invalid_request")),
        ({"role": "customer", "vendor_id": str(NOBODY)}, (422, "invalid_request")),
    ):
        answer = admin.request("PUT", f"/admin/users/{SOMEBODY}/role", role)
        assert refusal(answer) == expected


def test_an_administrator_refreshes_like_anybody(api: httpx.Client) -> None:
    """The role is not in the token."""
    admin = log_in(api, ADMIN)
    tokens = api.post("/auth/refresh", json={"refresh_token": admin.refresh_token}).json()
    assert device(api, tokens).get("/admin/users").status_code == 200


def test_the_last_administrator_stays(api: httpx.Client) -> None:
    """Whichever way he is taken away, and by whom; with another one he may go."""
    admin, path = log_in(api, ADMIN), f"/admin/users/{demo_id(ADMIN)}"
    for method, change, form in (
        ("POST", "disable", None),
        ("PUT", "role", {"role": "customer"}),
        ("PUT", "role", {"role": "vendor", "vendor_id": str(demo_id("Alder & Ash"))}),
    ):
        answer = admin.request(method, f"{path}/{change}", form)
        assert refusal(answer) == (409, "last_administrator")
    assert admin.request("PUT", f"{path}/role", {"role": "admin"}).status_code == 204
    other = f"/admin/users/{SOMEBODY}/role"
    assert admin.request("PUT", other, {"role": "admin"}).status_code == 204
    assert admin.post(f"{path}/disable").status_code == 204
    second = log_in(api, CUSTOMER)
    answer = second.request("PUT", other, {"role": "customer"})
    assert refusal(answer) == (409, "last_administrator")
