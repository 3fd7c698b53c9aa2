"""Settings, profiles, the engine and its pool, optimistic locking: how a connection is made and used."""
