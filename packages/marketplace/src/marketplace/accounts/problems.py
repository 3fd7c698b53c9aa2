"""Problems with a request that are caused by who makes it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from marketplace.problems import Problem


class _Unauthorized(Problem):
    status = HTTPStatus.UNAUTHORIZED

    @property
    def headers(self) -> dict[str, str]:
        """The header that says which kind of token is needed (RFC 6750 §3)."""
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclass(kw_only=True, eq=False)
class InvalidAccessToken(_Unauthorized):
    """There is no access token, or it has expired, or its session has ended."""

    code = "invalid_access_token"
    detail = "Refresh the session, or log in again."


@dataclass(kw_only=True, eq=False)
class RoleNotAllowed(Problem):
    """The role of this user does not allow it."""

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


@dataclass(kw_only=True, eq=False)
class InvalidRefreshToken(_Unauthorized):
    """The refresh token is not one of ours, or spent, or its session has ended."""

    code = "invalid_refresh_token"
    detail = "Log in again."


@dataclass(kw_only=True, eq=False)
class InvalidCredentials(_Unauthorized):
    """The e-mail address and the password do not belong together; which is wrong is not said."""

    code = "invalid_credentials"
    detail = "The e-mail address or the password is wrong."


@dataclass(kw_only=True, eq=False)
class SecondFactorNeeded(_Unauthorized):
    """The password is right; this account needs a code of its authenticator, too, or a recovery code."""

    code = "second_factor_needed"
    detail = "Send a code of the authenticator, or a recovery code, together with the password."


@dataclass(kw_only=True, eq=False)
class InvalidSecondFactor(_Unauthorized):
    """The code is wrong, too old, or was used before."""

    code = "invalid_second_factor"
    detail = "Send the next code of the authenticator, or a recovery code that was not used."


@dataclass(kw_only=True, eq=False)
class SecondFactorRequired(Problem):
    """This administrator has no second factor yet, without which an administrator may do nothing."""

    status = HTTPStatus.FORBIDDEN
    code = "second_factor_required"
    detail = "Set up a second factor first: POST /auth/second-factor."


@dataclass(kw_only=True, eq=False)
class SecondFactorInForce(Problem):
    """There is a second factor already."""

    status = HTTPStatus.CONFLICT
    code = "second_factor_in_force"
    detail = "Remove the second factor that is in force first: POST /auth/second-factor/remove."


@dataclass(kw_only=True, eq=False)
class NoSecondFactor(Problem):
    """There is no second factor, or none that waits to be confirmed."""

    status = HTTPStatus.NOT_FOUND
    code = "no_second_factor"
    detail = "There is none: POST /auth/second-factor."


@dataclass(kw_only=True, eq=False)
class EmailTaken(Problem):
    """The new address has got an account of its own since the change was asked for."""

    status = HTTPStatus.CONFLICT
    code = "email_taken"
    detail = "This address has an account of its own by now."


@dataclass(kw_only=True, eq=False)
class EmailNotVerified(Problem):
    """The password is right; the token that was mailed has not been used yet."""

    status = HTTPStatus.FORBIDDEN
    code = "email_not_verified"
    detail = "Verify the e-mail address first: POST /auth/verify."


@dataclass(kw_only=True, eq=False)
class InvalidVerificationToken(Problem):
    """The token is not one of ours, or used, replaced by a newer one, or too old."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_verification_token"
    detail = "Ask for another one: POST /auth/verify/resend."


@dataclass(kw_only=True, eq=False)
class PasswordTooShort(Problem):
    """A new password has to be longer."""

    min_length: int
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "password_too_short"
    detail = "A password has at least {min_length} characters."


@dataclass(kw_only=True, eq=False)
class PasswordTooWeak(Problem):
    """A new password is one of those that are guessed first; `hints` says how to choose another."""

    hints: list[str]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "password_too_weak"
    detail = (
        "This password is guessed soon. Choose a longer one, of words that do not belong together."
    )

    @property
    def members(self) -> dict[str, Any]:
        """The members of the answer that help to choose another password."""
        return {"hints": self.hints}


@dataclass(kw_only=True, eq=False)
class LastAdministrator(Problem):
    """The shop keeps at least one administrator who may log in."""

    status = HTTPStatus.CONFLICT
    code = "last_administrator"
    detail = "This is the last administrator: appoint another one first."


@dataclass(kw_only=True, eq=False)
class SessionNotFound(Problem):
    """No session of this user that is alive has this id."""

    session_id: UUID
    status = HTTPStatus.NOT_FOUND
    code = "session_not_found"
    detail = "There is no session {session_id}."


@dataclass(kw_only=True, eq=False)
class UserNotFound(Problem):
    """There is no user with this id."""

    user_id: UUID
    status = HTTPStatus.NOT_FOUND
    code = "user_not_found"
    detail = "There is no user {user_id}."


@dataclass(kw_only=True, eq=False)
class LetterNotFound(Problem):
    """No letter that was given up on has this id."""

    letter_id: UUID
    status = HTTPStatus.NOT_FOUND
    code = "letter_not_found"
    detail = "There is no letter {letter_id} that was given up on."


@dataclass(kw_only=True, eq=False)
class UnknownVendor(Problem):
    """The vendor whose staff a user should become does not exist."""

    vendor_id: UUID
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "unknown_vendor"
    detail = "There is no vendor {vendor_id}."
