"""`modhub completion`: the script that makes a shell complete the words of modhub's command lines."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from modhub.cli.group import COMPLETION_VARIABLE, Command

__all__ = ["command"]


@click.command(
    "completion",
    cls=Command,
    examples="""
eval "$(modhub completion bash)"                     # in this bash; put it in ~/.bashrc for all
modhub completion zsh > ~/.zfunc/_modhub             # a folder of zsh's $fpath
modhub completion fish > ~/.config/fish/completions/modhub.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and files for SHELL."""
    found = get_completion_class(shell)
    assert found is not None, "click completes in these three shells"
    # The base class's: that for bash runs bash, to warn of an old one.
    click.echo(ShellComplete.source(found(ctx.find_root().command, {}, "modhub", COMPLETION_VARIABLE)))
