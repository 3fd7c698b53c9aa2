"""SQL scripts as revisions: one file, or a folder in the order and with the version table of its tool."""
