"""Somebody who is logged in to the shop, and what is bought there."""

from dataclasses import dataclass
from itertools import count
from uuid import UUID

import httpx

from marketplace.demo_data import PASSWORD

CUSTOMER, OTHER_CUSTOMER = "customer@example.com", "customer2@example.com"
VENDOR, OTHER_VENDOR = "vendor@example.com", "vendor2@example.com"  # Alder & Ash, Copper Kettle
ADMIN = "admin@example.com"

_keys = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """Sends the access token with each request."""

    api: httpx.Client
    access_token: str

    def request(
        self, method: str, path: str, json: object = None, **headers: str
    ) -> httpx.Response:
        """A header is written with underscores: `If_Match`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self.access_token}"
        return self.api.request(method, path, json=json, headers=sent)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, json: object = None, **headers: str) -> httpx.Response:
        return self.request("POST", path, json, **headers)

    def patch(self, path: str, json: object, **headers: str) -> httpx.Response:
        return self.request("PATCH", path, json, **headers)

    def delete(self, path: str, **headers: str) -> httpx.Response:
        return self.request("DELETE", path, **headers)

    def buy(self, *lines: tuple[UUID, int], key: str | None = None) -> httpx.Response:
        """Checks out; with a key of its own, unless one is given."""
        cart = {"lines": [{"variant_id": str(v), "quantity": q} for v, q in lines]}
        return self.post("/checkout", cart, Idempotency_Key=key or f"key {next(_keys)}")


def log_in(api: httpx.Client, email: str) -> Shopper:
    answer = api.post("/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return Shopper(api=api, access_token=answer.json()["access_token"])


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
