"""What a node remembers: the only package that knows SQLite and writes a node's state to disk."""
