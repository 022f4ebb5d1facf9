"""The store: one database with the fleet, what was declared, what is to be done, and the proof of what was done.

Rows become values at its door. With a database, the database is the truth: fleet files enter through `fleet sync`
alone.
"""

from maintsched.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
