"""Writes `expected.json` of the named cases, or of those that have none, and prints what to compare with the contract.

    python -m tests.make_cases [NAME...]

A written plan is an expectation only after somebody has read it against the clauses.
"""

import json
import sys
from typing import Any

from tests.test_cases import CASES, outcome, read


def main(names: list[str]) -> None:
    folders = [CASES / name for name in names] or [
        folder for folder in sorted(CASES.iterdir()) if not (folder / "expected.json").exists()
    ]
    for folder in folders:
        made = outcome(read(folder))
        (folder / "expected.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(f"\n{folder.name}\n{(folder / 'case.toml').read_text(encoding='utf-8').splitlines()[0]}\n")
        sys.stdout.writelines(f"  {line}\n" for line in summary(made))


def summary(made: dict[str, Any]) -> list[str]:
    lines = []
    for window in made["windows"]:
        notice = window["notices"][0]
        change = window["clock_change"]
        extra = f" [{window['holiday']}]" if window["holiday"] else ""
        extra += f" ({change['text']})" if change else ""
        lines.append(f"{window['id']} {window['start']} to {window['end']}{extra}")
        bound = "before" if notice["exclusive"] else "by"
        lines.append(f"    {notice['kind']} sent {notice['send_at']}, due {bound} {notice['deadline']}")
        rows = (
            (row["instance"], row["component"], row["release"] or "-", row["change_class"]) for row in window["work"]
        )
        lines += [f"    {' '.join(row)}" for row in rows]
        lines += [
            f"    ! {each['kind']} {','.join(each['instances'])}: {each['message']}" for each in window["conflicts"]
        ]
    for each in made["deferrals"]:
        lines.append(
            f"deferral {each['instance']}/{each['release']} {each['start']} to {each['until']}: {each['window']}"
        )
    lines += [f"! {each['kind']} {','.join(each['instances'])}: {each['message']}" for each in made["conflicts"]]
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
