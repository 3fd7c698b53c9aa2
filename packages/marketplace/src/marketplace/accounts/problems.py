"""What can be wrong with a request because of who makes it."""

from dataclasses import dataclass
from http import HTTPStatus

from marketplace.problems import Problem


class _Unauthorized(Problem):
    status = HTTPStatus.UNAUTHORIZED

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750 §3."""
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclass(kw_only=True, eq=False)
class InvalidAccessToken(_Unauthorized):
    """No access token, one that expired, or one of a session that has ended."""

    code = "invalid_access_token"
    detail = "Refresh the session, or log in again."


@dataclass(kw_only=True, eq=False)
class RoleNotAllowed(Problem):
    """Others may do this."""

    allowed: str
    status = HTTPStatus.FORBIDDEN
    code = "role_not_allowed"
    detail = "This is for the role {allowed}."


@dataclass(kw_only=True, eq=False)
class FreshAuthenticationNeeded(Problem):
    """The password was given too long ago for this."""

    status = HTTPStatus.FORBIDDEN
    code = "fresh_authentication_needed"
    detail = "Give the password once more: POST /auth/reauthenticate."
