"""`modhub cache info`: all that is known of a module in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modhub import errors
from modhub.cli.amounts import moment_text, size_text, time_text
from modhub.cli.cache.entries import as_json, counted, name_of, pin_of
from modhub.cli.failures import next_step
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.cache.listing import Entry

__all__ = ["command"]

_EXAMPLES = """
modhub cache info https://tfhub.dev/google/elmo/3
modhub cache info https://tfhub.dev/google/elmo/3 --json | jq -r '.entries[0].pin'
"""


@click.command("info", cls=SettingsCommand, examples=_EXAMPLES)
@click.argument("handle")
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(handle: str, in_json: bool) -> None:
    """Show what is known of the module HANDLE: where it came from, its files, and how to pin it.

    HANDLE is what it was fetched as, or the name of its directory in the cache. Nothing is verified.
    """
    from modhub.cache.listing import matching

    with next_step("cache", "ls", of=(errors.HandleNotFoundError,)):
        found = matching(handle)
    if in_json:
        print_json(
            {"entries": [{**as_json(entry), "pin": pin_of(entry), "contents": _files(entry)} for entry in found]}
        )
        return
    click.echo("\n\n".join("\n".join(_lines(entry)) for entry in found))


def _lines(entry: Entry) -> list[str]:
    from modhub.settings.redact import masked

    unknown = "unknown until it is used through modhub, or verified"
    fields = {
        "handle": name_of(entry) if entry.handle else "unknown",
        "directory": str(entry.directory),
        "size": f"{size_text(entry.size)} ({entry.size:,} bytes) in {counted(entry.files, 'file')}",
        "downloaded": moment_text(entry.downloaded) or "unknown",
        "by": entry.by,
        "from": masked(entry.source) or "unknown",
        "last used": time_text(entry.last_used),
        "sha256 of all files": entry.sha256 or unknown,
        "sha256 of its archive": entry.archive_sha256 or "unknown",
        "pinned": pin_of(entry) or unknown,
    }
    width = max(map(len, fields))
    lines = [f"{name:{width}}  {shown(value)}" for name, value in fields.items()]
    files = _files(entry)
    sizes = [f"{file['size']:,}" for file in files]
    most = max(map(len, sizes), default=0)
    lines += ["files"]
    lines += [
        f"  {size:>{most}}  {file['sha256'] or ''}  {shown(file['name'])}"
        for size, file in zip(sizes, files, strict=True)
    ]
    return lines


def _files(entry: Entry) -> list[dict[str, Any]]:
    """Return the files of an entry: those of its manifest; those that lie there where it has none."""
    from modhub.cache.checking import listed_files
    from modhub.cache.manifest import read_manifest
    from modhub.errors import CorruptModuleError
    from modhub.format.layout import MANIFEST

    try:
        manifest = read_manifest(entry.directory)
    except CorruptModuleError:
        manifest = None
    if manifest is not None:
        return [
            {"name": name, "size": manifest.files[name].size, "sha256": manifest.files[name].sha256}
            for name in sorted(manifest.files)
        ]
    found = {name: status.st_size for name, status in listed_files(entry.directory) if name != MANIFEST}
    return [{"name": name, "size": found[name], "sha256": None} for name in sorted(found)]
