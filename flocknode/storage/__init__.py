"""Files: the data directory of one node."""
