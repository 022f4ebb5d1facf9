"""Measure maintsched beside other libraries and plain code: `make bench`, or `python bench/run.py --quick` for a taste.

Prints a table of ratios and writes docs/benchmarks.md; a quick run measures little and writes nothing.
"""

import argparse
from collections.abc import Iterator

from bench import big_plan, calendars, deciding, ledger, mails, outages, page, ssh, startup
from bench.side_by_side import Line


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure maintsched beside other libraries and plain code.")
    parser.add_argument("--quick", action="store_true", help="measure a short slice and write no page")
    quick = parser.parse_args().quick
    found = []
    for line in lines(quick=quick):
        print(page.table([line]), flush=True)
        found.append(line)
    if not quick:
        page.PAGE.write_text(page.markdown(found), encoding="utf-8")


def lines(*, quick: bool) -> Iterator[Line]:
    """Measure everything, one line after the other."""
    for module in (calendars, outages):
        for comparison in module.comparisons(quick=quick):
            yield comparison.measure()
    yield from big_plan.lines(quick=quick)  # before this process grows: its size counts as that of its children
    for module in (mails, ledger, ssh):
        for comparison in module.comparisons(quick=quick):
            yield comparison.measure()
    yield from ledger.lines(quick=quick)
    for comparison in startup.comparisons(quick=quick):
        yield comparison.measure()
    yield from deciding.lines(quick=quick)


if __name__ == "__main__":
    main()
