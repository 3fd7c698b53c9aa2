"""Who somebody is, and the sessions in which they are that: registration, log in, refresh, log out."""
