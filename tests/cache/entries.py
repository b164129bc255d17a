"""Puts entries into a cache without fetching anything, and packs archives that `export` would not."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from modhub.cache.manifest import new_manifest
from modhub.cache.names import descriptor_name, key_of
from modhub.cache.owner import new_owner
from modhub.cache.store import Cache, Found
from modhub.format.digests import FileDigest, digest_file

ONE = "https://example.com/one/1"
TWO = "https://example.com/two/2"
FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets/words.txt": b"a\nb\n"}


def put(
    cache: Path,
    handle: str,
    files: Mapping[str, bytes] = FILES,
    *,
    archive: str | None = None,
    pin: bool = False,
    origin: str = "",
) -> Found:
    """Put an entry into a cache.

    Args:
      cache: the directory.
      handle: what it is of.
      files: the contents by name.
      archive: the digest of the archive that it came in.
      pin: whether it was asked for by its digest.
      origin: see `Manifest`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    store = Cache(cache)
    directory = store.new_directory(handle, new_owner())
    write_files(directory, files)
    manifest = new_manifest(
        directory,
        {name: digest_file(directory / name) for name in files},
        handle=handle,
        source=f"{handle}?source",
        archive=FileDigest(size=7, sha256=archive) if archive else None,
        origin=origin,
    )
    return store.install(directory, manifest, manifest.sha256 if pin else None)


def put_foreign(cache: Path, handle: str, files: Mapping[str, bytes], *, described: str | None) -> Path:
    """Put an entry into a cache as tensorflow_hub does, with or without what it writes beside it."""
    directory = cache / key_of(handle)
    directory.mkdir(parents=True)
    write_files(directory, files)
    if described is not None:
        text = f"Module: {described}\nDownload Time: 2026-01-02 03:04:05.678\nDownloader Hostname: here (PID:1)"
        (cache / descriptor_name(directory.name)).write_text(text)
    return directory


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a directory."""
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)


def flip(path: Path) -> None:
    """Change a byte so that neither the size nor the time of the file tells."""
    status = path.stat()
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def contents(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory but those whose names begin with a dot."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def members_of(path: Path) -> dict[str, bytes]:
    """Return the files of a tar archive, in their order."""
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
        return found


def pack(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    """Write a tar archive of files, and of other members as they are given."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                tar.addfile(data)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path
