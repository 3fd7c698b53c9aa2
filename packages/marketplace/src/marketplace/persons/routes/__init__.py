"""A person's data over HTTP."""

from marketplace.persons.routes import persons

ROUTES = persons.router.routes
