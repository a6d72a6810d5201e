"""`python -m gitrepro`."""

from .cli.main import main

main()
