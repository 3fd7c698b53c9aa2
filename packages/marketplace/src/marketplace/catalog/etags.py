"""ETag and If-Match (RFC 9110 §8.8, §13.1.1): an edit names the version that it changes.

The tag is the row's `version`, which counts edits and not sales. Names that an answer borrows from
another row (a product's vendor) are there to be read, and are no part of what an edit may change.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Response

from holdfast import Versioned
from marketplace.accounts.principal import Principal
from marketplace.catalog.problems import VersionMismatch, VersionRequired
from marketplace.entities import Role

ANY = "*"
# A strong tag of ours. A weak one (W/"3") never matches: If-Match compares strongly.
OURS = re.compile(r'(?<!W/)"(\d{1,10})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The version that a client expects. `versions` is None if any will do."""

    versions: frozenset[int] | None

    def require(self, entity: Versioned) -> None:
        """Raise `VersionMismatch` for another version; also before an edit that changes and so checks nothing."""
        if self.versions is not None and entity.version not in self.versions:
            raise VersionMismatch(current_version=entity.version)


# What a route says of it in OpenAPI, where it answers 200.
TAGGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "ETag": {"description": "For If-Match: the version.", "schema": {"type": "string"}}
        }
    }
}

IfMatch = Annotated[str | None, Header(description='The ETag that was read: "3"', max_length=200)]


def expected(
    if_match: str | None, *, principal: Principal, body_version: int | None = None
) -> Expected:
    """Give the expected version: the header counts; `version` in the body is for clients that cannot set one.

    Raises `VersionRequired`.
    """
    if if_match is None:
        if body_version is None:
            raise VersionRequired
        return Expected(versions=frozenset({body_version}))
    if if_match.strip() == ANY:
        if principal.role is not Role.ADMIN:
            raise VersionRequired
        return Expected(versions=None)
    return Expected(versions=frozenset(map(int, OURS.findall(if_match))))


def tag(response: Response, entity: Versioned) -> None:
    """Put the ETag on an answer."""
    response.headers["ETag"] = f'"{entity.version}"'
