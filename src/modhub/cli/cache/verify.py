"""`modhub cache verify`: every byte in the cache, compared with the digests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from modhub import errors
from modhub.cli.cache.entries import as_json, name_of
from modhub.cli.failures import next_step
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option, mirror_option, quiet_option
from modhub.cli.json_output import print_json
from modhub.cli.several import read_each
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.cache.listing import Entry

__all__ = ["command"]

_EXAMPLES = """
modhub cache verify
modhub cache verify https://tfhub.dev/google/elmo/3
modhub cache verify --repair
modhub cache verify --json | jq -r '.results[] | select(.ok | not) | .handle'
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What was found of an entry; `damage` is what was wrong with it before it was repaired."""

    entry: Entry
    damage: tuple[str, ...]
    repaired: bool

    @property
    def ok(self) -> bool:
        return self.repaired or not self.damage


@click.command("verify", cls=SettingsCommand, examples=_EXAMPLES)
@click.argument("handles", nargs=-1, metavar="[HANDLE...]")
@click.option("--repair", is_flag=True, help="Fetch again what is damaged.")
@mirror_option
@cache_dir_option
@quiet_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, handles: tuple[str, ...], repair: bool, in_json: bool) -> None:
    """Read the modules in the cache, all or those of each HANDLE, and compare every byte with the digests.

    What tensorflow_hub fetched has no digests; it is checked as far as its format allows: the checksums of variables,
    and whether all files are there. Damaged modules are never used: who asks for one gets it fetched again.

    The exit status is 0 when all are whole, or were repaired; 1 when one is damaged; and 2 when one is not in the cache
    or could not be repaired.
    """
    from modhub.cache.listing import entries, matching

    def chosen(handle: str) -> list[Entry]:
        with next_step("cache", "ls", of=(errors.HandleNotFoundError,)):
            return matching(handle)

    asked = read_each(handles, chosen)
    listed = (
        {entry.key: entry for found in asked.found for entry in found}
        if handles
        else {entry.key: entry for entry in entries()}
    )
    reports = read_each(list(listed), lambda key: _verified(listed[key], repair=repair, in_json=in_json))
    unreadable = (
        *asked.unreadable,
        *(dataclasses.replace(each, handle=name_of(listed[each.handle])) for each in reports.unreadable),
    )
    if in_json and (reports.found or not unreadable):
        results = [
            {**as_json(each.entry), "ok": each.ok, "damage": each.damage, "repaired": each.repaired}
            for each in reports.found
        ]
        print_json({"results": results, "unreadable": unreadable})
    status = dataclasses.replace(reports, unreadable=unreadable).status(not all(each.ok for each in reports.found))
    ctx.exit(status)


def _verified(entry: Entry, *, repair: bool, in_json: bool) -> _Result:
    """Verify an entry, and say how it is."""
    damage = _damage(entry)
    if not in_json:
        for line in [f"damaged   {name_of(entry)}: {problem}" for problem in damage] or [f"whole     {name_of(entry)}"]:
            click.echo(shown(line))
    if not damage or not repair:
        return _Result(entry=entry, damage=damage, repaired=False)
    from modhub.handles import resolve

    resolve(_to_fetch(entry), verify=True)
    still = _damage(entry)
    if not in_json and not still:
        click.echo(shown(f"repaired  {name_of(entry)}"))
    return _Result(entry=entry, damage=still or damage, repaired=not still)


def _damage(entry: Entry) -> tuple[str, ...]:
    from modhub.cache.listing import verify

    return tuple(problem for found in verify([entry.key]) for problem in found.damage)


def _to_fetch(entry: Entry) -> str:
    """Return what has to be resolved so that an entry is fetched again: with its digest where that is in its name."""
    from modhub.cache.names import HIDDEN, key_of

    if not entry.handle:
        raise errors.HandleNotFoundError(
            f"{entry.key!r} cannot be fetched again, as nothing says which handle it is of. Remove it: `modhub "
            f"cache rm {entry.key}`."
        )
    if HIDDEN in entry.handle:
        raise errors.HandleNotFoundError(
            f"{entry.handle!r} cannot be fetched again from what the cache knows, as it keeps no secrets: "
            "`modhub pull --verify` with the whole handle does."
        )
    for digest in (entry.sha256, entry.archive_sha256):
        pinned = f"{entry.handle}#sha256={digest}"
        if digest and key_of(pinned) == entry.key:
            return pinned
    return entry.handle
