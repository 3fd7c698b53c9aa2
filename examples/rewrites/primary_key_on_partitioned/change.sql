ALTER TABLE events ADD PRIMARY KEY (id, placed_at, region);
