"""`modhub pull`: fetches modules into the cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub import errors
from modhub.cli.failures import next_step
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option, mirror_option, offline_option, quiet_option
from modhub.cli.json_output import print_json
from modhub.cli.paths import print_path
from modhub.cli.several import read_each
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.settings import Settings

__all__ = ["command"]

_EXAMPLES = """
modhub pull https://tfhub.dev/google/nnlm-en-dim128/1
modhub inspect "$(modhub pull --quiet https://tfhub.dev/google/elmo/3)"
modhub pull --lock https://models.example.com/text/1 https://models.example.com/image/2
modhub pull --mirror https://tfhub.dev/=https://mirror.example.com/ https://tfhub.dev/google/elmo/3
modhub pull --json ./module.tar.gz | jq -r '.modules[].path'
"""
_LOCK = "--lock"
_LOCK_FILE = "modhub.lock"
_SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")


class _PullCommand(SettingsCommand):
    """The command; --lock may stand without a file, as what follows it is a handle."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line apart."""
        end = args.index("--") if "--" in args else len(args)
        args = [f"{_LOCK}=" if arg == _LOCK and place < end else arg for place, arg in enumerate(args)]
        return super().parse_args(ctx, args)


@click.command("pull", cls=_PullCommand, examples=_EXAMPLES)
@click.argument("handles", nargs=-1, required=True, metavar="HANDLE...", type=click.Path(readable=False))
@click.option(
    _LOCK,
    metavar="[=FILE]",
    type=click.Path(),
    help=f"Add the digests of the modules to a lock file: {_LOCK_FILE}, or the one that is configured.",
)
@click.option("--verify", is_flag=True, help="Compare every byte with the digests; fetch again what is damaged.")
@offline_option
@mirror_option
@cache_dir_option
@quiet_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, handles: tuple[str, ...], lock: str | None, verify: bool, in_json: bool) -> None:
    """Fetch modules into the cache, and print the path of each.

    A HANDLE is a URL, or the path of a directory or of a .tar, .tar.gz or .tgz file. What is in the cache already is
    not fetched again. A digest pins a handle: https://models.example.com/text/1#sha256=... ; `modhub cache info` shows
    it. A lock file pins all the handles in it.

    The exit status is 0 when all is there, and 2 when a module could not be had; the others are fetched all the same.
    """
    from modhub.settings import configure, current

    settings = current()
    if lock is None:
        _pull(ctx, handles, settings, None, verify, in_json)
        return
    path = Path(lock or settings.lock_file or _LOCK_FILE).absolute()
    # What it has already is to hold, and what it lacks is what this is for.
    configure(lock_file=path if path.exists() else "", require_lock=False)
    try:
        _pull(ctx, handles, settings, path, verify, in_json)
    finally:
        configure(lock_file=None, require_lock=None)


def _pull(
    ctx: click.Context, handles: tuple[str, ...], settings: Settings, lock: Path | None, verify: bool, in_json: bool
) -> None:
    def read(handle: str) -> dict[str, Any]:
        from modhub.handles import resolve

        with next_step("cache", "ls", of=(errors.OfflineError,)):
            path = resolve(handle, verify=verify)
        if lock is not None:
            _lock(handle, path, lock, settings)
        if not any(os.path.exists(os.path.join(path, name)) for name in _SAVED_MODELS):
            print(f"modhub: warning: {shown(handle)} holds no SavedModel, so it is no module.", file=sys.stderr)
        if not in_json:
            print_path(path)
        return {"handle": handle, "path": path, "sha256": _known_digest(path, settings)}

    reports = read_each(handles, read)
    if in_json and reports.found:
        print_json({"modules": reports.found, "unreadable": reports.unreadable})
    ctx.exit(reports.status(failed=False))


def _lock(handle: str, path: str, lock: Path, settings: Settings) -> None:
    from modhub.handles.handle import parse_handle
    from modhub.handles.lock_file import update_lock
    from modhub.settings.redact import shown as redacted

    parsed = parse_handle(handle)
    if parsed.path is not None:
        print(f"modhub: {shown(handle)} is a path, and was not locked: a lock file is for URLs.", file=sys.stderr)
        return
    if redacted(parsed.text) != parsed.text:
        why = "it has a secret in it, and lock files are shared."
        print(f"modhub: {shown(redacted(handle))} was not locked: {why}", file=sys.stderr)
        return
    update_lock(lock, {parsed.text: _known_digest(path, settings) or _computed_digest(path)})


def _known_digest(path: str, settings: Settings) -> str | None:
    """Return the digest of a module's files where it is in the cache; None for what lies elsewhere."""
    from modhub.cache.manifest import read_manifest

    if os.path.dirname(path) != str(settings.cache_dir):
        return None
    manifest = read_manifest(Path(path))
    return manifest.sha256 if manifest else None


def _computed_digest(path: str) -> str:
    """Return the digest of the files of a directory: a mirror's, or a cache's that cannot be written."""
    from modhub.format.digests import digest_file, tree_digest
    from modhub.format.files import open_files

    files = open_files(Path(path)).sizes
    return tree_digest({name: digest_file(Path(path, name).resolve()).sha256 for name in files})
