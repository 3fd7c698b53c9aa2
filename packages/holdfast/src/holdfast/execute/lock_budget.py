"""The default for how long a run keeps trying to get its locks."""

from datetime import timedelta

LOCK_BUDGET = timedelta(minutes=30)
