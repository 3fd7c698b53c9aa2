"""The verbs for databases whose data may be lost: sync and reset. Never in production."""
