"""Looks: read-only questions to the server."""
