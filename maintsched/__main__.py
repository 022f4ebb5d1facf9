"""`python -m maintsched`: the command line."""

from maintsched.cli import main

main()
