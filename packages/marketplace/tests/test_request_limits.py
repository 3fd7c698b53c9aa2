"""Requests that are too large are refused, whatever they say of their size."""

from collections.abc import Callable, Iterator

import httpx
from devices import refusal


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 512):
        yield b"x" * 512


def test_too_large(serve: Callable[..., httpx.Client]) -> None:
    """With a Content-Length, and in chunks without one: 413, as a problem."""
    api = serve(max_request_bytes=2048)
    headers = {"Content-Type": "application/json"}
    for content in (b"x" * 4096, chunks(4096)):
        answer = api.post("/auth/login", content=content, headers=headers)
        assert refusal(answer) == (413, "request_too_large")


def test_not_too_large(serve: Callable[..., httpx.Client]) -> None:
    """Judged by what is in it."""
    api = serve(max_request_bytes=2048)
    answer = api.post("/auth/login", content=b"x" * 2048)
    assert refusal(answer) == (422, "invalid_request")
