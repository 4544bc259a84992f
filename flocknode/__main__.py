"""``python -m flocknode``."""

from flocknode.cli.main import main

main()
