"""What `bench stall` is made of: the shop's database, its traffic, the tools, one window, the figures, the picture."""
