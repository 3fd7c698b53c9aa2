"""Two releases on one schema: what both can live with is done at once, and the rest waits for `holdfast finish`."""
