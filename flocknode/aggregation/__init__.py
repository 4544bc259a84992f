"""Integer aggregation: ring sums and the server step."""
