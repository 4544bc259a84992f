"""What crosses the wire and what is signed."""
