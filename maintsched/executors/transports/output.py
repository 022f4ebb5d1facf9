"""What a command prints: read to its end, and of too much the last bytes kept."""

from collections import deque

_CONTINUATION = range(0x80, 0xC0)
"""Bytes that go on with a character of UTF-8 that began before them."""


class Cut(Exception):
    """The connection was cut before the command had ended: what became of the command is not known."""


class Tail:
    """Keeps the last `most` bytes of what comes in, in no more memory than twice as much and one piece."""

    __slots__ = ("_kept", "_most", "_parts", "cut")

    def __init__(self, most: int) -> None:
        """Keep at most so many bytes."""
        self._most = most
        self._parts: deque[bytes] = deque()
        self._kept = 0
        self.cut = False
        """Whether there was more."""

    def add(self, data: bytes) -> None:
        """Take the next bytes, and let go of the first ones where there are too many."""
        self._parts.append(data)
        self._kept += len(data)
        while self._kept > self._most:
            self.cut = True
            first = self._parts.popleft()
            surplus = self._kept - self._most
            if surplus < len(first):
                self._parts.appendleft(first[surplus:])
            self._kept -= min(surplus, len(first))

    def data(self) -> bytes:
        """Return what was kept."""
        return b"".join(self._parts)

    def text(self) -> str:
        """Return what was kept, decoded; it begins with a whole character, and what is no UTF-8 is replaced."""
        return decoded(self.data(), cut=self.cut)


def decoded(data: bytes, *, cut: bool = False) -> str:
    """Return bytes as text; where they were `cut` off something longer, the rest of a cut character is left out."""
    begin = 0
    while cut and begin < min(3, len(data)) and data[begin] in _CONTINUATION:
        begin += 1
    return data[begin:].decode("utf-8", "replace")
