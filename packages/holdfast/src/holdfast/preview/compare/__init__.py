"""Two schemas, what differs between them, and the lines of a revision that lead from one to the other."""
