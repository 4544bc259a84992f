"""The trio services that turn the world into events and effects into the world."""
