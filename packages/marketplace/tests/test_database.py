"""One edge where the transaction of a request is committed."""

import inspect
from pathlib import Path

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import marketplace
from marketplace import health, metrics
from marketplace.accounts.routes import administration, own, registration
from marketplace.catalog.routes import categories, products, variants, vendors
from marketplace.orders.routes import orders, payments

SOURCES = Path(inspect.getfile(marketplace)).parent
EDGE = SOURCES / "database.py"
FEATURES = ("accounts", "catalog", "orders")
MODULES = (
    health,
    metrics,
    administration,
    own,
    registration,
    categories,
    products,
    variants,
    vendors,
    orders,
    payments,
)
ROUTERS = [module.router for module in MODULES]


def test_nobody_else_commits() -> None:
    """Whatever the feature, its code runs in a transaction that `database.py` commits."""
    committing = {
        source
        for feature in FEATURES
        for source in (SOURCES / feature).rglob("*.py")
        if ".commit(" in source.read_text() or ".begin(" in source.read_text()
    }
    assert committing == set()
    assert ".commit(" in EDGE.read_text()


def test_no_route_is_given_a_connection_that_outlives_it() -> None:
    """Whatever the route, none of what FastAPI calls for it ends after the answer, as one with `yield` would."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 40
    ending_late = {
        (route.path, call)
        for route in routes
        for call in calls_of(route.dependant)
        if inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call)
    }
    assert ending_late == set()


def calls_of(dependant: Dependant) -> list[object]:
    """What FastAPI calls to answer, dependencies of dependencies included."""
    inner = [call for each in dependant.dependencies for call in calls_of(each)]
    return [dependant.call, *inner]


def test_every_feature_has_the_same_files() -> None:
    """Who knows one feature finds the way in the others."""
    for feature in FEATURES:
        names = {path.stem for path in (SOURCES / feature).iterdir()}
        assert {"routes", "service", "queries", "schemas", "problems"} <= names
