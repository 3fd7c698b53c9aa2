"""Which roles a statement needs, so that a server which has none of the project's can have them."""

import pytest

from holdfast.rewrite.roles import roles_named


@pytest.mark.parametrize(
    ("sql", "roles"),
    [
        ("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA s TO app, \"Read Only\"", ("app", "Read Only")),
        ("REVOKE ALL ON t FROM app CASCADE; GRANT owner_of TO app", ("app",)),
        ("ALTER TABLE t OWNER TO shop", ("shop",)),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE shop GRANT SELECT ON TABLES TO app", ("shop", "app")),
        ("CREATE POLICY p ON t TO app USING (true)", ("app",)),
        ("CREATE SCHEMA s AUTHORIZATION shop", ("shop",)),
        ("SET ROLE \"Deploy\"", ("Deploy",)),
        ("SET LOCAL ROLE deploy", ("deploy",)),
        ("SET SESSION AUTHORIZATION 'deploy'", ("deploy",)),
        ("GRANT ALL ON t TO CURRENT_USER, PUBLIC", ()),
        ("SET ROLE NONE", ()),
        ("CREATE ROLE app", ()),
        ("CREATE TABLE role (owner text)", ()),
        ("no SQL for a role", ()),
    ],
)  # fmt: skip
def test_roles_named(sql: str, roles: tuple[str, ...]) -> None:
    """Whatever the statement does with a role."""
    assert roles_named(sql) == roles
