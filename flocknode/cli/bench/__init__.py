"""``flocknode bench``: figures of this machine, each beside the limit that physics or we set."""
