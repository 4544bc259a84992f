"""``flocknode audit``: recompute a kept run in a process that shares nothing with it."""
