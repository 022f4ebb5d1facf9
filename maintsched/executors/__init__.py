"""Does updates: what kind of update (executors), and how a host is reached (transports).

`port` is the contract that both keep, `registry` the table of those that are there.
"""
