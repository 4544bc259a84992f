"""The model as flat integer words, and the typed stages of a delta."""
