#!/usr/bin/env bash
# Builds the sdist and, from it, the wheel; installs the wheel where nothing of the checkout can be seen; tries it there.
# The argument is the Python that has `build` and hatchling; it also makes the fresh environment.
set -euo pipefail
python=${1:?usage: tools/wheel_test.sh PYTHON}
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/maintsched-wheel.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
say() { printf 'wheel-test: %s\n' "$*"; }

say "building"
"$python" -m build --no-isolation --outdir "$scratch/dist" "$checkout" >"$scratch/build.log" 2>&1 ||
    { cat "$scratch/build.log" >&2; exit 1; }
wheel=$(echo "$scratch"/dist/*.whl)
"$python" - "$wheel" "$scratch"/dist/*.tar.gz <<'PY'
import sys, tarfile, zipfile
wheel, sdist = sys.argv[1:]
inside = zipfile.ZipFile(wheel).namelist()
for wanted in ("maintsched/__init__.py", "maintsched/py.typed"):
    assert wanted in inside, f"expected {wanted} in the wheel"
assert any(n.startswith("maintsched/contracts/") and n.endswith(".toml") for n in inside), "no contract in the wheel"
for wanted in ("layout.html", "de/reminder.md", "en/reminder.md"):
    assert f"maintsched/mail/templates/{wanted}" in inside, f"expected the template {wanted} in the wheel"
assert any(n.endswith("/scripts/maintsched-cron") for n in inside), "no maintsched-cron in the wheel"
strays = [n for n in inside if not n.startswith("maintsched") or "__pycache__" in n]
assert not strays, f"unexpected in the wheel: {strays}"
top = {n.split("/")[1] for n in tarfile.open(sdist).getnames() if "/" in n}
assert not top & {".venv", ".git", "demo", "dist", "mutants"}, f"unexpected in the sdist: {sorted(top)}"
PY

say "installing $(basename "$wheel") into a fresh environment"
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel" 'pytest>=8'
"$scratch/venv/bin/python" -m pip check >/dev/null
export PATH="$scratch/venv/bin:$PATH"
mkdir "$scratch/cwd"
cd "$scratch/cwd"

say "the commands"
version=$(sed -n 's/^__version__[^=]*= *"\(.*\)"/\1/p' "$checkout/maintsched/__init__.py")
maintsched --version | grep -qF "$version"
maintsched contracts | grep -q intrexx-paas
maintsched plan --months 3 --format json >now.json
python -c 'import json; json.load(open("now.json", encoding="utf-8"))'
maintsched plan --from 2026-01-01 --months 3 --format json >plan.json
python - <<'PY'
import json, pathlib
text = pathlib.Path("plan.json").read_text(encoding="utf-8")
json.loads(text)
for window in ("monthly/2026-01", "monthly/2026-02", "monthly/2026-03"):
    assert window in text, f"expected {window} in the plan"
PY

maintsched demo "$scratch/demo" >"$scratch/demo.log" || { cat "$scratch/demo.log" >&2; exit 1; }
ls "$scratch"/demo/mail/*.eml >/dev/null
maintsched-cron --help | grep -q "maintsched worker"

say "the library"
python - <<'PY'
import datetime as dt, pathlib, sys
import maintsched as ms
home = pathlib.Path(ms.__file__).resolve()
assert home.is_relative_to(pathlib.Path(sys.prefix).resolve()), f"not the installed package: {home}"
window = ms.next_window(ms.load_contract(), dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc))
assert window.start.isoformat() == "2026-01-06T17:00:00+01:00", window
print(window)
PY

say "the vectors"
cp -R "$checkout/tests" "$scratch/tests"
python -m pytest -q -W error -p no:cacheprovider --noconftest --rootdir "$scratch/tests" "$scratch/tests/test_vectors.py"

say "ok"
