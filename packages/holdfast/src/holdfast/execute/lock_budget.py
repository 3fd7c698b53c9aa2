"""How long a run goes on trying for its locks where nobody says otherwise."""

from datetime import timedelta

LOCK_BUDGET = timedelta(minutes=30)
