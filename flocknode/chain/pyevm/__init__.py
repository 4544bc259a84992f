"""A development chain in Python alone: py-evm behind the JSON-RPC that this package speaks."""
