#!/usr/bin/env python3
"""One pass of the maintsched worker, for cron: 0 all is done, 75 something is left to be tried again, 1 look at it."""

import sys

from maintsched.cli import main

if __name__ == "__main__":
    main(["worker", "--once", *sys.argv[1:]])
