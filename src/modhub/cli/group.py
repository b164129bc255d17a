"""How commands are declared, and groups that import each of theirs when it is asked for."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from modhub import errors
from modhub.cli.commands import Entry
from modhub.cli.failures import BAD_USAGE

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
        if not self.examples:
            return
        formatter.write("\nExamples:\n" + textwrap.indent(self.examples.strip("\n"), "  ") + "\n")


class LazyGroup(Command, click.Group):
    """The commands of a table; only the one that is used is imported. Without one of them, the help is bad usage."""

    def __init__(self, *args: Any, commands_table: Mapping[str, Entry], examples: str = "", **options: Any) -> None:
        """Declare a group.

        Args:
          *args: those of `click.Group`.
          commands_table: its commands, by name.
          examples: as for `Command`.
          **options: those of `click.Group`.
        """
        super().__init__(*args, examples=examples, no_args_is_help=False, **options)
        self.commands_table = commands_table

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a command line apart; without a word the help says what is missing."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(BAD_USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(self.commands_table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is no such one."""
        if cmd_name not in self.commands_table:
            return None
        command: click.Command = importlib.import_module(self.commands_table[cmd_name].module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a command line names; a misspelt one gets a suggestion."""
        name = args[0]
        known = self.commands_table
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            where = "" if ctx.parent is None else f" of {ctx.command_path!r}"
            raise click.UsageError(
                f"There is no command {name!r}{where}. " + errors.accepted(name, known, "commands"), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, out of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands_table[name].help) for name in sorted(self.commands_table)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, out of the table."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry.help)
            for name, entry in sorted(self.commands_table.items())
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)
