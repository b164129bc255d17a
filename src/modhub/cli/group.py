"""How commands are declared, and the group that imports each of them when it is asked for."""

from __future__ import annotations

import importlib
import textwrap
from typing import TYPE_CHECKING, Any

import click

from modhub import errors
from modhub.cli.commands import COMMANDS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMPLETION_VARIABLE", "HELP_NAMES", "Command", "LazyGroup"]

# How a shell asks which words could follow.
COMPLETION_VARIABLE = "_MODHUB_COMPLETE"
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command whose help ends with examples.

    @click.command("inspect", cls=Command, examples="modhub inspect ./module")
    """

    def __init__(self, *args: Any, examples: str, details: str = "", **options: Any) -> None:
        """Declare a command.

        Args:
          *args: those of `click.Command`.
          examples: command lines, shown as they are written.
          details: what follows the docstring, shown as it is written.
          **options: those of `click.Command`.
        """
        options.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **options)
        self.examples = examples
        self.details = details

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the docstring, and the details as they are; click would fill their lines."""
        super().format_help_text(ctx, formatter)
        if self.details:
            formatter.write("\n" + textwrap.indent(self.details.strip("\n"), "  ") + "\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        formatter.write("\nExamples:\n" + textwrap.indent(self.examples.strip("\n"), "  ") + "\n")


class LazyGroup(click.Group):
    """The commands of the table; only the one that is used is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name].module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a command line names; a misspelt one gets a suggestion."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"There is no command {name!r}. " + errors.accepted(name, COMMANDS, "commands"), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, out of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, out of the table."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=COMMANDS[name].help) for name in sorted(COMMANDS) if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)
