"""What Alembic runs for each step: it works on the connection, and in the transaction, that `migrate` gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
