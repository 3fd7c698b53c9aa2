"""Plans the queue of a revision as a whole: what belongs together, in which order, and the steps of each unit."""
