CREATE TABLE parcels (
    id integer NOT NULL,
    country text NOT NULL,
    weight integer,
    sender text
) PARTITION BY LIST (country);
CREATE TABLE parcels_north PARTITION OF parcels FOR VALUES IN ('fi', 'no', 'se');
CREATE TABLE parcels_others PARTITION OF parcels DEFAULT PARTITION BY LIST (country);
CREATE TABLE parcels_south PARTITION OF parcels_others FOR VALUES IN ('es', 'it', 'pt');
CREATE TABLE parcels_rest PARTITION OF parcels_others DEFAULT;
INSERT INTO parcels
SELECT n, (ARRAY['fi', 'it', 'nl', 'se'])[1 + n % 4], 1 + n % 90, 'sender ' || n
FROM generate_series(1, 3000) AS n;
