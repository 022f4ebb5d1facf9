#!/usr/bin/env bash
# Shows what maintsched does, on a sample fleet, and leaves the results in demo/. Wants `maintsched` on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fleet=docs/examples/fleet.toml
out=demo
months=3

say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
keep() { # FILE COMMAND...: the same, with the output in a file
    local file=$1; shift
    printf '$ %s > %s\n' "$*" "$file"
    "$@" >"$file"
    [ -s "$file" ] || { echo "demo: expected $file to hold something, got an empty file" >&2; exit 1; }
}

[ -f "$fleet" ] || { echo "demo: the sample fleet $fleet is missing" >&2; exit 1; }
rm -rf "$out"
mkdir -p "$out"

say "The contracts that are installed"
run maintsched contracts

say "The next $months months of a sample fleet: windows, notices and their deadlines"
run maintsched plan --fleet "$fleet" --months "$months"

say "The same plan for other programs, calendars and browsers"
for format in json csv ics html; do
    keep "$out/plan.$format" maintsched plan --fleet "$fleet" --months "$months" --format "$format"
done

say "Why the next window is when it is"
window=$(grep -oE 'monthly/[0-9]{4}-[0-9]{2}(-[0-9]{2})?' "$out/plan.json" | sort | sed -n 1p)
[ -n "$window" ] || { echo "demo: expected a monthly window in $out/plan.json, got none" >&2; exit 1; }
run maintsched explain "$window" --fleet "$fleet"

say "Done. Look at these:"
ls -l "$out"/plan.*
