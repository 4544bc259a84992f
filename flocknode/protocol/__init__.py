"""The rules of a round as sans-IO state machines."""
