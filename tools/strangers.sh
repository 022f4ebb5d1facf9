#!/usr/bin/env bash
# Makes .strangers/, where the foreign programs live that read our mails back in tests (tests/test_strangers.py).
# Wants node and npm; the argument is the Python to build on (default: the one that the project would use).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
home=.strangers
wanted=$(cat tests/strangers/python.txt tests/strangers/package.json tools/strangers.sh | cksum)
say() { printf 'strangers: %s\n' "$*"; }

if [ "$(cat "$home/.made" 2>/dev/null)" = "$wanted" ]; then
    say "$home is as it should be"
    exit 0
fi
command -v npm >/dev/null || { echo "strangers: npm is missing (on Debian: apt install nodejs npm)" >&2; exit 1; }
python=$(tools/find_python.sh "${1-}")
rm -rf "$home"
mkdir "$home"

say "circuit-maintenance-parser, into $home/venv"
"$python" -m venv "$home/venv"
"$home/venv/bin/python" -m pip --disable-pip-version-check --quiet install --requirement tests/strangers/python.txt
"$home/venv/bin/python" -m pip check >/dev/null

say "ical.js and mailparser, into $home/node_modules"
cp tests/strangers/package.json "$home/"
npm install --prefix "$home" --no-package-lock --no-audit --no-fund --no-update-notifier --ignore-scripts --silent

echo "$wanted" >"$home/.made"
say "done"
