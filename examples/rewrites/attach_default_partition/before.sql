CREATE TABLE parcels (
    id integer NOT NULL,
    country text,
    weight integer NOT NULL,
    UNIQUE (id, country)
) PARTITION BY LIST (country);
CREATE TABLE parcels_north PARTITION OF parcels FOR VALUES IN ('fi', 'no', NULL);
CREATE TABLE parcels_west PARTITION OF parcels FOR VALUES IN ('ie')
    PARTITION BY RANGE (id);
CREATE TABLE parcels_west_first PARTITION OF parcels_west FOR VALUES FROM (0) TO (10000);
CREATE INDEX ON parcels (weight);
INSERT INTO parcels SELECT n, (ARRAY['fi', 'no', 'ie'])[1 + n % 3], n % 50
FROM generate_series(1, 3000) AS n;

CREATE TABLE parcels_elsewhere (
    id integer NOT NULL,
    country text,
    weight integer NOT NULL
);
INSERT INTO parcels_elsewhere SELECT n, (ARRAY['it', 'nl', 'gb'])[1 + n % 3], n % 50
FROM generate_series(1, 3000) AS n;
