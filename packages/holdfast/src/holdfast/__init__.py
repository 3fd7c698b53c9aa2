"""Change and run a PostgreSQL database under a live Python application, safely."""
