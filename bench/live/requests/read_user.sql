\set id random(10, :users)
SELECT id, email, name, is_verified FROM users WHERE id = :id;
