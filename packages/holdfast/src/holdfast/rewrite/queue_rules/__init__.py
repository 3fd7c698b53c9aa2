"""What belongs together in a queue: one rule, one file. `plan_queue` applies them in its order."""
