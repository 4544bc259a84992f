"""Composition root: the command line, the only place that knows every part."""
