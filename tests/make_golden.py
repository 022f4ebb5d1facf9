"""Writes the golden mails anew: all of them, or the named ones, and prints how each differs from before.

    python -m tests.make_golden [NAME...]

A written mail is golden only after somebody has read what changed.
"""

import sys

from tests.goldens import GOLDEN, differences, mail, names


def main(chosen: list[str]) -> None:
    for name in chosen or names():
        path = GOLDEN / f"{name}.eml"
        before, after = path.read_bytes() if path.exists() else b"", mail(name).data
        if before != after:
            path.write_bytes(after)
            sys.stdout.writelines(
                f"{line}\n" for line in [f"== {name}", *(differences(before, after) if before else [])]
            )


if __name__ == "__main__":
    main(sys.argv[1:])
