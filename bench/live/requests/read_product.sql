\set id random(10, :products)
SELECT p.id, p.name, p.price_cents, v.sku, v.stock FROM products p JOIN variants v ON v.product_id = p.id WHERE p.id = :id;
