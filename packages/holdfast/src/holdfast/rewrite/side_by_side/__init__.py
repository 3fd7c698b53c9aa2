"""Two releases on one schema: what works for both is done at once, the rest waits for `holdfast finish`."""
