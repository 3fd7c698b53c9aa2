"""What `bench noop` and `bench history` share: 100 small migrations as each tool has them, and cold processes."""
