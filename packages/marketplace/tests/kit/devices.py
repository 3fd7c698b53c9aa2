"""A device on which somebody is logged in, as the tests of routes see it."""

from dataclasses import dataclass

import httpx

from marketplace.demo_data import PASSWORD

CUSTOMER, VENDOR, ADMIN = "customer@example.com", "vendor@example.com", "admin@example.com"


@dataclass(slots=True, kw_only=True)
class Device:
    """Sends the access token with each request."""

    api: httpx.Client
    access_token: str
    refresh_token: str
    session_id: str

    def request(self, method: str, path: str, json: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.access_token}"}
        return self.api.request(method, path, headers=headers, json=json)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, json: object = None) -> httpx.Response:
        return self.request("POST", path, json)

    def is_logged_in(self) -> bool:
        return self.get("/auth/me").status_code == 200


def log_in(api: httpx.Client, email: str, *, password: str = PASSWORD) -> Device:
    answer = api.post("/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return device(api, answer.json())


def device(api: httpx.Client, tokens: dict[str, str]) -> Device:
    """From what a log in, or a change of the password, answers."""
    return Device(
        api=api,
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
        session_id=tokens["session_id"],
    )


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
