"""Change and run a PostgreSQL database under a live Python application, safely.

What an application needs is here, loaded when it is first used; `docs/architecture.md` names the other public modules.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.application.database import AsyncDatabase, Database
    from holdfast.engine.create_engine import (
        create_async_engine,
        create_engine,
        create_migration_engine,
    )
    from holdfast.engine.profiles import Profile
    from holdfast.engine.settings import Settings
    from holdfast.engine.versioned import Versioned, run_unit, run_unit_async
    from holdfast.errors import HoldfastError
    from holdfast.migrate.run import downgrade, upgrade

__all__ = [
    "AsyncDatabase",
    "Database",
    "HoldfastError",
    "Profile",
    "Settings",
    "Versioned",
    "create_async_engine",
    "create_engine",
    "create_migration_engine",
    "downgrade",
    "run_unit",
    "run_unit_async",
    "upgrade",
]

# Loaded on demand: a command that finds nothing to do would otherwise wait 300 ms for SQLAlchemy and Alembic.
_MODULE_OF = {
    "AsyncDatabase": "holdfast.application.database",
    "Database": "holdfast.application.database",
    "HoldfastError": "holdfast.errors",
    "Profile": "holdfast.engine.profiles",
    "Settings": "holdfast.engine.settings",
    "Versioned": "holdfast.engine.versioned",
    "create_async_engine": "holdfast.engine.create_engine",
    "create_engine": "holdfast.engine.create_engine",
    "create_migration_engine": "holdfast.engine.create_engine",
    "downgrade": "holdfast.migrate.run",
    "run_unit": "holdfast.engine.versioned",
    "run_unit_async": "holdfast.engine.versioned",
    "upgrade": "holdfast.migrate.run",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
