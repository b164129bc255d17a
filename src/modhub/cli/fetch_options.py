"""Options of commands that fetch or keep modules. They are settings for as long as the command runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from modhub.cli.group import Command

__all__ = ["SettingsCommand", "cache_dir_option", "mirror_option", "offline_option", "quiet_option"]

_CHANGES = "modhub.settings"
_EXAMPLE = "https://tfhub.dev/=/mnt/models/"


class SettingsCommand(Command):
    """A command with some of the options of this file."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with the settings that its options say."""
        changes: dict[str, Any] = ctx.meta.get(_CHANGES, {})
        if not changes:
            return super().invoke(ctx)
        from modhub.settings import configure, current

        if "mirrors" in changes:
            changes["mirrors"] += current().mirrors
        configure(**changes)
        try:
            return super().invoke(ctx)
        finally:
            configure(**dict.fromkeys(changes))


def cache_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --cache-dir to a command."""
    return click.option(
        "--cache-dir",
        metavar="DIR",
        type=click.Path(),
        expose_value=False,
        callback=_sets(lambda value: {} if value is None else {"cache_dir": value}),
        help="The cache to use, in place of TFHUB_CACHE_DIR and the usual one.",
    )(command)


def mirror_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --mirror to a command."""
    return click.option(
        "--mirror",
        metavar="PREFIX=TARGET",
        multiple=True,
        expose_value=False,
        callback=_sets(_mirrors),
        help="Fetch what begins with PREFIX from TARGET; several are tried in order, before configured ones.",
    )(command)


def offline_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --offline to a command."""
    return click.option(
        "--offline",
        is_flag=True,
        expose_value=False,
        callback=_sets(lambda value: {"offline": True} if value else {}),
        help="Fetch nothing: find only what is in the cache, or local.",
    )(command)


def quiet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet to a command; without it downloads say how far they are."""
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_sets(lambda value: {"progress": not value}),
        help="Do not say how far downloads are.",
    )(command)


def _sets(changes: Callable[[Any], dict[str, Any]]) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback of an option that notes what its value changes."""

    def note(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        ctx.meta.setdefault(_CHANGES, {}).update(changes(value))

    return note


def _mirrors(values: tuple[str, ...]) -> dict[str, Any]:
    pairs = []
    for value in values:
        prefix, _, target = value.partition("=")
        if not (prefix and target):
            raise click.BadParameter(f"{value!r} is not PREFIX=TARGET, such as {_EXAMPLE}.")
        pairs.append((prefix, (target,)))
    return {"mirrors": tuple(pairs)} if pairs else {}
