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
