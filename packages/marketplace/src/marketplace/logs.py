"""The log: one line an event on stderr, and no secret in it. JSON; on a terminal, where a person reads along, time,
level and event in colours, and SQL statements only at the level debug: they would bury everything else.

Whoever logs by the standard library, we ourselves, uvicorn, SQLAlchemy, passes the same processors; the
last but one replaces what may not be there.
"""

import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
SECRET_NAMES = re.compile(
    r"authorization|cookie|passw|passphrase|secret|token(?!_digest)|api_?key|server_key|cursor_key",
    re.IGNORECASE,
)
SECRET_TEXTS = re.compile(
    r"""hf[rve]_[\w-]+=*                               # our tokens
      | eyJ[\w-]+\.[\w-]+\.[\w-]*                     # a JWT
      | (?<=://)[^\s/@:]*:[^\s/@]*(?=@)               # user:password in a URL
      | (?<=\bBearer\s)\S+ | (?<=\bBasic\s)\S+        # RFC 6750, RFC 7617
      | (?<=password=)[^\s&;,'")]+""",
    re.VERBOSE | re.IGNORECASE,
)

logger = logging.getLogger(__name__)


def configure_logs(*, level: int = logging.INFO) -> None:
    """For the process: what is logged by any library goes through here."""
    handler = logging.StreamHandler(sys.stderr)
    is_terminal = sys.stderr.isatty()
    if is_terminal and level > logging.DEBUG:
        handler.addFilter(_is_no_statement)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _time_stamper(is_terminal=is_terminal),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,  # before `redact`: a traceback quotes values
                redact,
                _renderer(is_terminal=is_terminal),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A processor: no value of a telling name, no token in any text, however deep."""
    return {name: _clean(value, name=name) for name, value in event.items()}


class RequestLog:
    """One event a request: the route and not the path, no query, no address.

    What is logged on the way has the same `request_id`, which the answer says in X-Request-Id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Says when the answer is complete, or that there was none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500
        request_id = secrets.token_hex(8)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, watched)
        finally:
            facts = {
                "method": scope["method"],
                "route": _route(scope),
                "status": status,
                "milliseconds": round((time.monotonic() - began) * 1000, 1),
            }
            logger.info("request", extra=facts)
            structlog.contextvars.unbind_contextvars("request_id")


def _route(scope: Scope) -> str | None:
    template = getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else None


def _clean(value: Any, *, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _clean(inner, name=str(key)) for key, inner in value.items()}
    if SECRET_NAMES.search(name) and value is not None:
        return REDACTED
    if isinstance(value, str):
        return SECRET_TEXTS.sub(REDACTED, value)
    if isinstance(value, list | tuple):
        return [_clean(inner, name=name) for inner in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    return SECRET_TEXTS.sub(REDACTED, str(value))


def _is_no_statement(record: logging.LogRecord) -> bool:
    """SQLAlchemy logs each statement as info, whatever the setting that asked for it."""
    return not record.name.startswith("sqlalchemy.engine") or record.levelno > logging.INFO


def _time_stamper(*, is_terminal: bool) -> Processor:
    if is_terminal:
        return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    return structlog.processors.TimeStamper(fmt="iso")


def _renderer(*, is_terminal: bool) -> Processor:
    if is_terminal:
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer()
