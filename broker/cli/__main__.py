"""`python -m broker.cli` is the command `broker`."""

from broker.cli.main import main

main()
