#!/usr/bin/env bash
# Prints the first Python that can carry the project: it runs, is 3.11 or newer, and can make virtual environments.
# With an argument only that one is looked at.
set -u

if [ $# -gt 0 ] && [ -n "$1" ]; then candidates=("$1"); else candidates=(python3.13 python3.12 python3.11 python3); fi

for candidate in "${candidates[@]}"; do
    # A name on the PATH may be a wrapper that does not run, so it is tried, not only looked up.
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
done

echo "no usable Python among: ${candidates[*]} (expected 3.11 or newer with venv and ensurepip; on Debian: apt install python3-venv; or set PYTHON=...)" >&2
exit 1
