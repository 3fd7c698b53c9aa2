"""The log: one line an event on stderr, and no secret in it. JSON; on a terminal, where a person reads along, time,
level and event in colours, and SQL statements only at the level debug: they would bury everything else.

Whoever logs by the standard library, we ourselves, uvicorn, SQLAlchemy, passes the same processors; the
last but one replaces what may not be there.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog
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

REQUEST = "request"  # the event of a request that was answered
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)  # of the one under way

logger = logging.getLogger(__name__)


def configure_logs(*, level: int = logging.INFO) -> None:
    """Configure logging for the process: everything that any library logs goes through here."""
    handler = logging.StreamHandler(sys.stderr)
    is_terminal = sys.stderr.isatty()
    if is_terminal and level > logging.DEBUG:
        handler.addFilter(_is_no_statement)
    formatter = structlog.stdlib.ProcessorFormatter if is_terminal else _Lines
    handler.setFormatter(
        formatter(
            foreign_pre_chain=[
                _with_request_id,
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
    """Remove secrets from an event (a processor): values of telling names, and tokens in any text, however deep."""
    return {name: _clean(value, name=name) for name, value in event.items()}


def log_request(*, method: str, route: str | None, status: int, seconds: float) -> None:
    """Log one event for a request: the route, not the path; no query, no address."""
    if logger.isEnabledFor(logging.INFO):
        facts = {
            "method": method,
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        }
        # Made by hand: the logger would look for the place in the code that it is called from.
        record = logger.makeRecord(
            logger.name, logging.INFO, __file__, 0, REQUEST, (), None, extra=facts
        )
        logger.handle(record)


class _Lines(structlog.stdlib.ProcessorFormatter):
    """Formats every event through the processors, except requests: they are many, and contain nothing to redact."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of one event."""
        if record.name != logger.name or record.msg != REQUEST:
            return super().format(record)
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        facts = vars(record)
        return (
            f'{{"event": "request", "request_id": "{REQUEST_ID.get()}",'
            f' "level": "info", "logger": "{record.name}",'
            f' "method": {_quoted(facts["method"])}, "route": {_quoted(facts["route"])},'
            f' "status": {facts["status"]}, "milliseconds": {facts["milliseconds"]},'
            f' "timestamp": "{now.removesuffix("+00:00")}Z"}}'
        )


@lru_cache(maxsize=500)
def _quoted(text: str | None) -> str:
    return json.dumps(text)


def _with_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the id by which everything logged during one request is found together (a processor)."""
    if (request_id := REQUEST_ID.get()) is not None:
        event["request_id"] = request_id
    return event


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
    """Whether an event is not one of SQLAlchemy's statements, which it logs as info whatever asked for them."""
    return not record.name.startswith("sqlalchemy.engine") or record.levelno > logging.INFO


def _time_stamper(*, is_terminal: bool) -> Processor:
    if is_terminal:
        return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    return structlog.processors.TimeStamper(fmt="iso")


def _renderer(*, is_terminal: bool) -> Processor:
    if is_terminal:
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer()
