"""What a change of a partitioned table becomes: partition by partition, beside their users, and what is lacking."""
