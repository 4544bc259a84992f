"""``flocknode demo``: a whole network on one machine, from nothing."""
