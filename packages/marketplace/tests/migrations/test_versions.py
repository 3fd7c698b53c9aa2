"""The migrations make the schema, step by step, and take it back."""

import re
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from everywhere import everywhere
from sqlalchemy import Engine, text
from sqlalchemy.sql.expression import TextClause

from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.dump import schema_dump
from marketplace.entities import AuditedAction
from marketplace.schema import known_revisions, migration_config

TABLE = re.compile(r"^CREATE (UNLOGGED )?TABLE .*?;$", re.MULTILINE | re.DOTALL)
INDEXES = text("""
    SELECT regexp_replace(indexdef, 'CREATE (.*) ON public\\.(.*) USING btree', '\\1 ON \\2')
    FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
      AND indexname NOT IN (SELECT conname FROM pg_constraint)
""")

# Without NOT NULL, which is a constraint of its own from PostgreSQL 18 on.
CONSTRAINTS = text("""
    SELECT format('%s %s ON %s', conname, pg_get_constraintdef(oid), conrelid::regclass)
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
      AND conrelid <> 'alembic_version'::regclass
""")

VERSION_COLUMNS = text("""
    SELECT format('%s.%s %s DEFAULT %s %s', table_name, column_name, data_type, column_default,
                  CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END)
    FROM information_schema.columns WHERE column_name = 'version' AND table_schema = 'public'
""")

NEWER_ACTIONS = {
    AuditedAction.USER_EMAIL_CHANGED,
    AuditedAction.USER_SECOND_FACTOR_ADDED,
    AuditedAction.USER_SECOND_FACTOR_REMOVED,
    AuditedAction.USER_RECOVERY_CODE_USED,
    AuditedAction.USER_EXPORTED,
    AuditedAction.USER_DELETED,
}
# Those of the revision that brought the table; later ones add to them.
FIRST_ACTIONS = [
    action
    for action in AuditedAction
    if action not in {AuditedAction.SESSION_REFUSED, AuditedAction.ADMIN_READ}
    and action not in NEWER_ACTIONS
]

BASELINE_INDEXES = {
    "INDEX ix_users_vendor_id ON users (vendor_id)",
    "INDEX ix_variants_product_id ON variants (product_id)",
    "INDEX ix_order_lines_variant_id ON order_lines (variant_id)",
    "INDEX ix_order_lines_vendor_id_order_id ON order_lines (vendor_id, order_id)",
}
ADDED_INDEXES = {
    "UNIQUE INDEX ix_users_email ON users (email)",
    "UNIQUE INDEX ix_users_phone_number ON users (phone_number)",
    "INDEX ix_users_email_is_verified ON users (email, is_verified)",
    "INDEX ix_products_name ON products (name)",
    "INDEX ix_products_stock ON products (stock)",
    "INDEX ix_products_vendor_id_subcategory_id ON products (vendor_id, subcategory_id)",
    "INDEX ix_orders_ordered_by_id_status ON orders (ordered_by_id, status)",
    "INDEX ix_orders_payment_status ON orders (payment_status)",
    "INDEX ix_orders_created_at ON orders (created_at)",
}
SESSION_INDEXES = {
    "INDEX ix_sessions_user_id_is_revoked ON sessions (user_id, is_revoked)",
    "INDEX ix_sessions_absolute_expires_at ON sessions (absolute_expires_at)",
}
ACCOUNT_INDEXES = {
    "INDEX ix_audit_events_user_id_id ON audit_events (user_id, id)",
    "CREATE INDEX ix_audit_events_occurred_at ON public.audit_events USING brin (occurred_at)",
}
ADDED_VERSION_COLUMNS = {
    "products.version integer DEFAULT 1 NOT NULL",
    "variants.version integer DEFAULT 1 NOT NULL",
}


def one_of(column: str, *values: str) -> str:
    """As PostgreSQL says `column IN (values)` of a varchar."""
    array = ", ".join(f"'{value}'::character varying" for value in values)
    return f"CHECK ((({column})::text = ANY ((ARRAY[{array}])::text[])))"


def foreign_key(column: str, *, to: str, on_delete: str) -> str:
    """One that refers to the primary key of another table."""
    table, name = column.split(".")
    reference = f"FOREIGN KEY ({name}) REFERENCES {to}(id) ON DELETE {on_delete}"
    return f"fk_{table}_{name}_{to} {reference} ON {table}"


BASELINE_CONSTRAINTS = {
    "pk_categories PRIMARY KEY (id) ON categories",
    "uq_categories_name UNIQUE (name) ON categories",
    "pk_subcategories PRIMARY KEY (id) ON subcategories",
    "uq_subcategories_category_id_name UNIQUE (category_id, name) ON subcategories",
    foreign_key("subcategories.category_id", to="categories", on_delete="RESTRICT"),
    "pk_vendors PRIMARY KEY (id) ON vendors",
    "uq_vendors_name UNIQUE (name) ON vendors",
    "pk_users PRIMARY KEY (id) ON users",
    "ck_users_email_lower_case CHECK ((email = lower(email))) ON users",
    "ck_users_phone_number_e164 CHECK ((phone_number ~ '^\\+[1-9][0-9]{1,14}$'::text)) ON users",
    f"ck_users_role {one_of('role', 'customer', 'vendor', 'admin')} ON users",
    (
        "ck_users_vendor_of_staff "
        "CHECK ((((role)::text = 'vendor'::text) = (vendor_id IS NOT NULL))) ON users"
    ),
    foreign_key("users.vendor_id", to="vendors", on_delete="RESTRICT"),
    "pk_products PRIMARY KEY (id) ON products",
    "ck_products_currency_iso_4217 CHECK ((currency ~ '^[A-Z]{3}$'::text)) ON products",
    "ck_products_price_not_negative CHECK ((price >= 0)) ON products",
    "ck_products_stock_not_negative CHECK ((stock >= 0)) ON products",
    foreign_key("products.vendor_id", to="vendors", on_delete="RESTRICT"),
    foreign_key("products.subcategory_id", to="subcategories", on_delete="RESTRICT"),
    "pk_variants PRIMARY KEY (id) ON variants",
    "uq_variants_sku UNIQUE (sku) ON variants",
    "ck_variants_currency_iso_4217 CHECK ((currency ~ '^[A-Z]{3}$'::text)) ON variants",
    "ck_variants_price_not_negative CHECK ((price >= 0)) ON variants",
    "ck_variants_stock_not_negative CHECK ((stock >= 0)) ON variants",
    foreign_key("variants.product_id", to="products", on_delete="CASCADE"),
    "pk_orders PRIMARY KEY (id) ON orders",
    "ck_orders_currency_iso_4217 CHECK ((currency ~ '^[A-Z]{3}$'::text)) ON orders",
    "ck_orders_subtotal_not_negative CHECK ((subtotal >= 0)) ON orders",
    "ck_orders_shipping_not_negative CHECK ((shipping >= 0)) ON orders",
    "ck_orders_total_adds_up CHECK ((total = (subtotal + shipping))) ON orders",
    "ck_orders_status "
    + one_of("status", "pending", "confirmed", "shipped", "delivered", "cancelled")
    + " ON orders",
    "ck_orders_payment_status "
    + one_of("payment_status", "pending", "paid", "failed", "refunded")
    + " ON orders",
    foreign_key("orders.ordered_by_id", to="users", on_delete="RESTRICT"),
    "pk_order_lines PRIMARY KEY (order_id, line_number) ON order_lines",
    "ck_order_lines_line_number_positive CHECK ((line_number > 0)) ON order_lines",
    "ck_order_lines_quantity_positive CHECK ((quantity > 0)) ON order_lines",
    "ck_order_lines_unit_price_not_negative CHECK ((unit_price >= 0)) ON order_lines",
    "ck_order_lines_total_adds_up CHECK ((total = (unit_price * quantity))) ON order_lines",
    foreign_key("order_lines.order_id", to="orders", on_delete="CASCADE"),
    foreign_key("order_lines.variant_id", to="variants", on_delete="SET NULL"),
    foreign_key("order_lines.vendor_id", to="vendors", on_delete="RESTRICT"),
}
SESSION_CONSTRAINTS = {
    "pk_sessions PRIMARY KEY (id) ON sessions",
    "ck_sessions_absolute_expiry CHECK ((expires_at <= absolute_expires_at)) ON sessions",
    "ck_sessions_generation_not_negative CHECK ((generation >= 0)) ON sessions",
    (
        "ck_sessions_refresh_token_hash_sha256 "
        "CHECK ((octet_length(refresh_token_hash) = 32)) ON sessions"
    ),
    (
        "ck_sessions_previous_token_hash_sha256 "
        "CHECK ((octet_length(previous_token_hash) = 32)) ON sessions"
    ),
    "ck_sessions_revoked_at_known CHECK ((is_revoked = (revoked_at IS NOT NULL))) ON sessions",
    (
        "ck_sessions_revoked_reason_known "
        "CHECK ((is_revoked = (revoked_reason IS NOT NULL))) ON sessions"
    ),
    "ck_sessions_revoked_reason "
    + one_of(
        "revoked_reason",
        "logout",
        "logout_all",
        "logout_others",
        "password_change",
        "reuse_detected",
        "evicted",
        "admin",
        "user_disabled",
    )
    + " ON sessions",
    foreign_key("sessions.user_id", to="users", on_delete="CASCADE"),
}
ACCOUNT_CONSTRAINTS = {
    "pk_email_verifications PRIMARY KEY (user_id) ON email_verifications",
    (
        "ck_email_verifications_token_hash_sha256 "
        "CHECK ((octet_length(token_hash) = 32)) ON email_verifications"
    ),
    foreign_key("email_verifications.user_id", to="users", on_delete="CASCADE"),
    "pk_audit_events PRIMARY KEY (id) ON audit_events",
    f"ck_audit_events_action {one_of('action', *FIRST_ACTIONS)} ON audit_events",
}


def listed(engine: Engine, query: TextClause) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(query))


def dump(engine: Engine) -> str:
    """The columns of each table by name: one that went and came back stands last."""
    written = schema_dump(
        engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    )
    return TABLE.sub(
        lambda table: "\n".join(sorted(table[0].replace(",\n", "\n").split("\n"))), written
    )


def test_everything_is_there_after_run_and_goes_step_by_step(
    engine: Engine, config: Config
) -> None:
    """Every index, constraint and ON DELETE action; each revert takes what its revision brought."""
    upgrade(config, "7a03c4e86d1f")
    assert (
        listed(engine, INDEXES)
        == BASELINE_INDEXES | ADDED_INDEXES | SESSION_INDEXES | ACCOUNT_INDEXES
    )
    assert (
        listed(engine, CONSTRAINTS)
        == BASELINE_CONSTRAINTS | SESSION_CONSTRAINTS | ACCOUNT_CONSTRAINTS
    )
    assert listed(engine, VERSION_COLUMNS) == ADDED_VERSION_COLUMNS

    downgrade(config, "-1")
    assert listed(engine, INDEXES) == BASELINE_INDEXES | ADDED_INDEXES | SESSION_INDEXES
    assert listed(engine, CONSTRAINTS) == BASELINE_CONSTRAINTS | SESSION_CONSTRAINTS
    assert listed(engine, VERSION_COLUMNS) == ADDED_VERSION_COLUMNS

    downgrade(config, "-1")
    assert listed(engine, INDEXES) == BASELINE_INDEXES | ADDED_INDEXES
    assert listed(engine, CONSTRAINTS) == BASELINE_CONSTRAINTS
    assert listed(engine, VERSION_COLUMNS) == ADDED_VERSION_COLUMNS

    downgrade(config, "-1")
    assert listed(engine, INDEXES) == BASELINE_INDEXES | ADDED_INDEXES
    assert listed(engine, VERSION_COLUMNS) == set()

    downgrade(config, "-1")
    assert listed(engine, INDEXES) == BASELINE_INDEXES
    assert listed(engine, CONSTRAINTS) == BASELINE_CONSTRAINTS

    downgrade(config, "-1")
    assert listed(engine, INDEXES) == set()
    assert listed(engine, CONSTRAINTS) == set()


def test_each_revert_ends_where_its_run_began(engine: Engine, config: Config) -> None:
    """Up, down and up again: the same pg_dump at each of the newest revisions; at all of them in the proof."""
    newest, *older = known_revisions()
    again = older if everywhere() else older[:1]
    upgrade(config, "head")
    downgrade(config, "base" if everywhere() else again[-1])
    stages = [dump(engine)]
    for revision in reversed([newest, *again] if everywhere() else [newest, *again[:-1]]):
        upgrade(config, revision)
        stages.append(dump(engine))
    for before in reversed(stages[:-1]):
        downgrade(config, "-1")
        assert dump(engine) == before
    upgrade(config, "head")
    assert dump(engine) == stages[-1]


def test_the_files_are_in_order() -> None:
    """A file name begins with its date; the order of the files is the order of the revisions."""
    revisions = ScriptDirectory.from_config(migration_config()).walk_revisions()
    assert [Path(revision.path).name for revision in revisions][::-1] == [
        "2026_01_05_baseline.py",
        "2026_01_12_add_indexes.py",
        "2026_01_19_add_version_columns.py",
        "2026_01_26_add_session_entity.py",
        "2026_02_02_add_accounts.py",
        "2026_02_09_add_archiving.py",
        "2026_02_16_add_checkout.py",
        "2026_02_23_add_refunds.py",
        "2026_03_02_open_accounts_by_letter.py",
        "2026_03_09_add_rate_counts.py",
        "2026_03_16_add_letters.py",
        "2026_03_23_add_second_factors.py",
        "2026_03_30_add_email_changes.py",
        "2026_04_06_add_delivery_addresses.py",
        "2026_04_13_add_refund_requests.py",
        "2026_04_20_move_stock.py",
        "2026_04_24_name_owners.py",
        "2026_04_27_drop_stock_of_variants.py",
    ]
