"""Imported by the process that others are forked from: makes it warm, before it has threads or an event loop."""

from tests.crash_children import warm

warm()
