"""What the release before the newest schema sends: it goes on while both are there, until `holdfast finish`."""

# Its stock is in `variants`.
TAKE = """
    WITH wanted AS MATERIALIZED (
        SELECT variants.id, line.value::int AS quantity
        FROM json_each_text(%s) AS line JOIN variants ON variants.id = line.key::uuid
        ORDER BY variants.id FOR NO KEY UPDATE OF variants)
    UPDATE variants SET stock = variants.stock - quantity
    FROM wanted, products JOIN vendors ON vendors.id = products.vendor_id
    WHERE variants.id = wanted.id AND products.id = variants.product_id
      AND variants.stock >= quantity AND variants.archived_at IS NULL
    RETURNING variants.id AS variant_id, quantity, variants.stock AS left_over,
              variants.product_id, products.name AS product_name, variants.name AS variant_name,
              variants.sku, variants.price AS unit_price, variants.currency,
              vendors.id AS vendor_id, vendors.name AS vendor_name
"""
ADJUST = """
    UPDATE variants SET stock = stock + %(delta)s
    WHERE id = %(variant_id)s AND archived_at IS NULL
      AND stock + %(delta)s BETWEEN 0 AND %(most)s
    RETURNING stock, product_id
"""
NEW_VARIANT = """
    INSERT INTO variants (id, product_id, sku, name, price, currency, version)
    SELECT gen_random_uuid(), product_id, gen_random_uuid(), name, price, currency, 1 FROM variants LIMIT 1
    RETURNING id
"""
EDIT = "UPDATE variants SET price = price + 1, version = version + 1 WHERE id = %s"
# Its lines and events do not say whose they are.
PLACE = """
    WITH placed AS (
        INSERT INTO orders (id, ordered_by_id, currency, subtotal, shipping, total, created_at)
        VALUES (%(id)s, %(user_id)s, 'EUR', 2, 0, 2, now())),
    lines AS (
        INSERT INTO order_lines (order_id, line_number, variant_id, vendor_id, vendor_name,
                                 product_name, variant_name, sku, unit_price, quantity, total)
        SELECT %(id)s, line_number, variant_id, vendor_id, vendor_name, product_name, variant_name,
               sku, unit_price, quantity, unit_price * quantity
        FROM json_to_recordset(%(response)s::json -> 'lines')
             AS line (line_number int, variant_id uuid, vendor_id uuid, vendor_name text,
                      product_name text, variant_name text, sku text, unit_price bigint,
                      quantity int)),
    events AS (
        INSERT INTO order_events (id, order_id, machine, to_state, reason, actor_id)
        VALUES (gen_random_uuid(), %(id)s, 'status', 'pending', 'checkout', %(user_id)s))
    INSERT INTO idempotency_keys AS known
        (user_id, key, method, path, fingerprint, status, response, created_at, expires_at)
    VALUES (%(user_id)s, %(key)s, 'POST', '/checkout', sha256('x'), 201, %(response)s, now(), now())
"""
ADD_ADDRESS = """
    INSERT INTO delivery_addresses (order_id, recipient, street, addition, postal_code, city, country)
    VALUES (%(id)s, 'r', 's', NULL, '1', 'c', 'DE')
"""
CONFIRM = """
    WITH before AS (SELECT id, status FROM orders WHERE id = %(id)s FOR NO KEY UPDATE),
    moved AS (UPDATE orders SET status = 'confirmed' FROM before
              WHERE orders.id = before.id AND orders.status = 'pending' RETURNING orders.id, before.status)
    INSERT INTO order_events (id, order_id, machine, from_state, to_state, reason)
    SELECT gen_random_uuid(), id, 'status', status, 'confirmed', 'paid' FROM moved
"""
