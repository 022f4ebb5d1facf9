"""Stand-ins for tests, ours and those of others: a clock that stands still, a mailer that records.

Both obey the same laws as what they stand in for.
"""

from maintsched.testing.clock import FrozenClock
from maintsched.testing.mailer import RecordingMailer

__all__ = ["FrozenClock", "RecordingMailer"]
