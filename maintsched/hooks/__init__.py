"""Hooks: tells something outside of windows and runs, and hears whether it has done its part.

`port` holds the values, `calls` the one way in; the kinds are `command`, `webhook`, `alertmanager` and `icinga`.
"""

from maintsched.hooks.calls import call, call_all
from maintsched.hooks.port import Hook, Kind, Moment, Occasion, Outcome, hook_key

__all__ = ["Hook", "Kind", "Moment", "Occasion", "Outcome", "call", "call_all", "hook_key"]
