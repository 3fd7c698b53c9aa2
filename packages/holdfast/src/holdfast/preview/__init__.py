"""Tries changes on a scratch server before they reach a real database: plan, check, generate, drift, online."""
