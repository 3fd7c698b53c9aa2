"""Decides whether the data of a database may be lost: by the stamp in it, whatever the process believes."""

from sqlalchemy import Connection

from holdfast.engine.environment import read_stamp
from holdfast.engine.profiles import Profile
from holdfast.errors.database import NotDisposable
from holdfast.observe.database import database_name


def require_profile_of(
    connection: Connection, allowed: tuple[Profile, ...], *, profile: Profile, verb: str
) -> Profile:
    """Give the database's profile: its stamp, or this process's where it has none. Raises NotDisposable."""
    stamp = read_stamp(connection)
    found = profile if stamp is None else stamp.profile
    if found not in allowed:
        raise NotDisposable(
            verb=verb,
            database=database_name(connection),
            found=f"stamped {found}" if stamp else f"not stamped, and this process is {found}",
            allowed=tuple(allowed),
        )
    return found
