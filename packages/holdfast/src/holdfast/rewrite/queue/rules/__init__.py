"""The rules for what belongs together in a queue, one file each. `plan_queue` applies them in its order."""
