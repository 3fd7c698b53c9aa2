"""The API as a page: every route, what it takes and answers, made from the OpenAPI document.

The page holds no script and needs no other host.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter()

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .2rem 0; } code { font-size: .95em; }
b { display: inline-block; min-width: 4.5rem; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body><h1>{title} {version}</h1>
<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI {openapi}).</p>
{body}</body></html>
"""


@router.get("/docs", include_in_schema=False)
async def documentation(request: Request) -> HTMLResponse:
    """Write every route, grouped by what it is about."""
    document: dict[str, Any] = request.app.openapi()
    page = PAGE.format(
        title=escape(document["info"]["title"]),
        version=escape(document["info"]["version"]),
        openapi=escape(document["openapi"]),
        style=STYLE,
        body="\n".join(_sections(document)),
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def _sections(document: dict[str, Any]) -> Iterator[str]:
    about: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            tag = next(iter(route.get("tags", ())), "other")
            about.setdefault(tag, []).append(_route(path, method, route))
    for tag, routes in about.items():
        yield f"<h2>{escape(tag)}</h2>"
        yield from routes
    schemas = document.get("components", {}).get("schemas", {})
    yield "<h2>what is sent and answered</h2>"
    yield from (_schema(name, schema) for name, schema in sorted(schemas.items()))


def _route(path: str, method: str, route: dict[str, Any]) -> str:
    rows = [
        _row(f"{parameter['in']} {parameter['name']}", parameter.get("description", ""))
        for parameter in route.get("parameters", ())
    ]
    if "requestBody" in route:
        rows.append(_row("body", _reference(route["requestBody"])))
    rows += [
        _row(status, f"{answer.get('description', '')} {_reference(answer)}")
        for status, answer in route["responses"].items()
    ]
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(route.get('description', ''))}</summary><table>{''.join(rows)}</table></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        _row(field, f"{_type(known)} {known.get('description', '')}")
        for field, known in schema.get("properties", {}).items()
    ]
    described = escape(schema.get("description", ""))
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> {described}</summary>'
        f"<table>{''.join(rows)}</table></details>"
    )


def _row(name: str, text: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(text.strip())}</td></tr>"


def _reference(part: dict[str, Any]) -> str:
    """Give the names of the schemas of a body or an answer."""
    schemas = [content.get("schema", {}) for content in part.get("content", {}).values()]
    return ", ".join(_type(schema) for schema in schemas if schema)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")
