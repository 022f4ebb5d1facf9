"""What the workers of `real_worker` are forked from: everything is imported, and nothing has begun."""

from importlib import import_module

for name in (
    "maintsched.cli.worker",
    "maintsched.executors.apt",
    "maintsched.executors.script",
    "maintsched.executors.transports.connection",
    "maintsched.mail.send",
    "maintsched.worker.passes",
    "maintsched.worker.work",
    "tests.real_worker",
):
    import_module(name)
