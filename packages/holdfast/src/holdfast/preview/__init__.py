"""What is tried on a scratch server before it reaches a real database: plan, check, generate, drift, online."""
