"""The command line: a command parses, makes one core call and prints. Data on stdout, talk on stderr.

Exit codes: 0 done, 1 refused or failed (one clear line), 2 wrong usage. Commands are imported when they are called.
"""

import os
import sys
from importlib import import_module
from typing import Any

import click

from maintsched import __version__

COMMANDS = {
    "demo": "The whole story in a minute, on this machine.",
    "plan": "Windows, notices, deadlines and what goes in.",
    "explain": "Why a date is what it is: clause, reading, facts.",
    "contracts": "The built-in contracts and their terms.",
    "fleet": "Customers, contacts and instances: keep them in step, look at them, erase a contact.",
    "freeze": "Times in which changes stay out.",
    "release": "What can be installed, what was taken back, what instances stay at.",
    "defer": "Larger updates that instances get later, counted and dated.",
    "track": "Which releases reach an instance, and from when.",
    "consent": "Agreements of customers that their own systems are worked on.",
    "window": "Announce, confirm, move and cancel windows.",
    "outage": "Outages entered by hand; their begin and end are told at once.",
    "notice": "Look at notices, try templates, send again, read bounces.",
    "worker": "Tell people what is due, and keep the proof.",
    "executors": "What there is to update instances with, and what the configuration uses.",
    "run": "Update runs and their steps: look, try again, approve, watch.",
    "pause": "Halt work at once: of the whole fleet, of customers or of instances.",
    "resume": "End a pause.",
    "evidence": "The journal as a report, and whether its chain holds.",
    "init": "Write a commented configuration and make the database.",
    "doctor": "Check everything, and say what to do.",
}
"""Each command and its help in one line; its code is `maintsched/cli/<command>.py`, in a function of that name."""


class Commands(click.Group):
    """Commands that are imported when they are called, so that help costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the flow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"maintsched.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the command most like an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from maintsched.errors import one_of, show

            raise click.UsageError(f"No such command: expected {one_of(args[0], COMMANDS)}, got {show(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line; output that cannot be written, such as to a full disk, becomes one line as well."""
        try:
            return super().main(*args, **settings)
        except OSError as error:
            _give_up_stdout()
            click.echo(f"Error: cannot read or write {error.filename or 'the output'}: {error.strerror}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what maintsched refuses becomes one line and exit code 1."""
        from maintsched.errors import MaintschedError, printable

        try:
            return super().invoke(ctx)
        except MaintschedError as error:
            raise click.ClickException(str(error)) from error
        except click.ClickException as error:  # click repeats some of what was typed as it is
            vars(error)["message"] = printable(error.message)
            raise


def _give_up_stdout() -> None:
    """Lead stdout into nothing: the interpreter would fail once more on what is left in it when it ends."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
    except (OSError, AttributeError):  # stdout is no file, or closed
        return


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="maintsched %(version)s")
def main() -> None:
    """Keep the time promises of a managed-hosting contract.

    maintsched works out every date that a contract promises: maintenance windows, notice deadlines, deferrals, reaction
    times and availability, each with the clause it comes from. Every option can also be set by an environment variable
    MAINTSCHED_<OPTION>.

    \b
    Example:
      maintsched plan --months 3
    """
