"""What the workers of `real_work` are forked from: everything is imported, and nothing has begun."""

import maintsched.cli.worker
import maintsched.executors.apt
import maintsched.executors.script
import maintsched.executors.transports.connection
import maintsched.mail.send
import maintsched.worker.passes
import maintsched.worker.work
import tests.real_work  # noqa: F401 - the process imports it to begin
