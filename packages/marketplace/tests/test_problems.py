"""Every error over HTTP is a problem of RFC 9457 with a stable code."""

import httpx
from sqlalchemy import Engine, text


def test_no_such_path(api: httpx.Client) -> None:
    """What FastAPI answers by itself is one too."""
    answer = api.get("/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "code": "not_found",
            "detail": "Nothing matches the given URI.",
            "request_id": answer.headers["x-request-id"],
        },
    )


def test_no_such_method(api: httpx.Client) -> None:
    """Its headers are kept."""
    answer = api.delete("/products")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


def test_a_mistake_of_ours(api: httpx.Client, shop: Engine) -> None:
    """500 says nothing of what went wrong inside."""
    with shop.begin() as connection:
        connection.execute(text("ALTER TABLE products RENAME TO goods"))
    answer = api.get("/products")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()) == (
        500,
        {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "code": "internal_error",
            "detail": "Something is wrong on our side.",
            "request_id": answer.headers["x-request-id"],
        },
    )


def test_the_documentation_names_them(api: httpx.Client) -> None:
    """OpenAPI says which problems a route answers, and what one looks like."""
    document = api.get("/openapi.json").json()
    answers = document["paths"]["/products/{product_id}"]["get"]["responses"]
    assert {status: list(answer["content"]) for status, answer in answers.items()} == {
        "200": ["application/json"],
        "404": ["application/problem+json"],
        "422": ["application/problem+json"],
        "503": ["application/problem+json"],
    }
    problem = {"$ref": "#/components/schemas/ProblemDetails"}
    assert answers["404"]["content"]["application/problem+json"]["schema"] == problem
    assert set(document["components"]["schemas"]["ProblemDetails"]["required"]) == {
        "title",
        "status",
        "code",
        "detail",
    }
    assert api.get("/docs").status_code == 200
