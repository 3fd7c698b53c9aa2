"""Who may change the catalogue, and what such a route says about its problems."""

from typing import Annotated

from fastapi import Depends

from marketplace.accounts.principal import Principal, require_role
from marketplace.accounts.problems import InvalidAccessToken, RoleNotAllowed
from marketplace.catalog.problems import NotYourVendor, VersionMismatch, VersionRequired
from marketplace.entities import Role
from marketplace.problems import InvalidRequest

Admin = Annotated[Principal, Depends(require_role(Role.ADMIN))]
Editor = Annotated[Principal, Depends(require_role(Role.VENDOR, Role.ADMIN))]

BY_ADMIN = (InvalidAccessToken, RoleNotAllowed, InvalidRequest)
BY_EDITOR = (*BY_ADMIN, NotYourVendor)
VERSIONED = (VersionRequired, VersionMismatch)
