CREATE TABLE seats (
    event_id integer NOT NULL,
    row_number integer NOT NULL,
    holder varchar(20)
) PARTITION BY HASH (event_id);
CREATE TABLE seats_0 PARTITION OF seats FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE seats_1 PARTITION OF seats FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE seats_2 PARTITION OF seats FOR VALUES WITH (MODULUS 4, REMAINDER 2);
INSERT INTO seats SELECT n % 50, n, 'holder ' || n FROM generate_series(1, 3000) AS n
WHERE NOT satisfies_hash_partition('seats'::regclass, 4, 3, n % 50);
