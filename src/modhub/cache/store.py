"""The entries of a cache directory: found, put in their place whole, and taken away."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modhub.cache.checking import beside, find_damage
from modhub.cache.descriptor import write_descriptor
from modhub.cache.lock import download_lock
from modhub.cache.manifest import Manifest, read_manifest, write_manifest
from modhub.cache.names import descriptor_name, is_key, key_of, pinned_key, temporary_name
from modhub.cache.placing import put_in_place, remove_tree, set_aside
from modhub.errors import CacheError, ModhubError, ModuleFormatError
from modhub.format.digests import FileDigest
from modhub.format.layout import MANIFEST
from modhub.format.syncing import sync_directory

__all__ = ["Cache", "Found", "remove_tree"]

_TOUCH_AFTER_S = 3600
_MOST_TRIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry of a cache.

    Attributes:
      key: its name.
      directory: where it is.
      manifest: what it holds; None where it is damaged so that this cannot be said.
      damage: what is wrong with it, a phrase each; nothing where it may be used.
    """

    key: str
    directory: Path
    manifest: Manifest | None
    damage: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it may be used."""
        return not self.damage and self.manifest is not None


class Cache:
    """A cache directory, which need not exist yet, and may be one that tensorflow_hub uses too.

    An entry is a directory with the files of a module, and a manifest. It is made under another name, written to the
    disk, and renamed; so whatever happens, it is there whole or not at all. Nothing rests on locks.
    """

    __slots__ = ("directory",)

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, handle: str, sha256: str | None = None, *, digests: bool = False, origin: str = "") -> Found | None:
        """Look an entry up, and check it.

        Args:
          handle: what it is the entry of.
          sha256: the digest that it must have; None for any.
          digests: whether the digests of all files are compared, not only those of files that were written to.
          origin: what it must come from, see `Manifest`.

        Returns:
          It: one that is whole, else one that is damaged; None where there is none, or only one with another digest.
        """
        damaged = None
        for key in (key_of(handle), *([pinned_key(handle, sha256)] if sha256 else [])):
            found = self.check(key, handle, digests=digests)
            if found is None:
                continue
            if found.manifest is None or found.damage:
                damaged = damaged or found
            elif found.manifest.origin == origin and (sha256 is None or found.manifest.has_digest(sha256)):
                self._touch(found)
                return found
        return damaged

    def check(self, key: str, handle: str = "", *, digests: bool = False) -> Found | None:
        """Check an entry by its name.

        One that has no manifest gets one, if it is whole and the directory can be written to.

        Args:
          key: its name.
          handle: what the manifest will say that it is the entry of, if it has none.
          digests: as for `find`.

        Returns:
          It; None where there is none.
        """
        directory = self.directory / key
        try:
            if not directory.is_dir() or not any(directory.iterdir()):
                return None
            manifest = read_manifest(directory)
            if manifest is None:
                return self._adopted(key, handle)
            # That of another key was altered, or its directory was moved here.
            misnamed = () if manifest.may_be_named(key) else ("its manifest is that of another handle",)
            damage = misnamed or find_damage(directory, manifest, digests=digests)
            if damage and read_manifest(directory) != manifest:  # it was replaced meanwhile
                return self.check(key, handle, digests=digests)
        except ModuleFormatError as error:
            return Found(key=key, directory=directory, manifest=None, damage=(error.message,))
        except OSError as error:
            return Found(key=key, directory=directory, manifest=None, damage=(f"it cannot be read: {error}",))
        if damage and not directory.is_dir():  # it was removed meanwhile
            return None
        return Found(key=key, directory=directory, manifest=manifest, damage=damage)

    @contextmanager
    def lock(self, handle: str, owner: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock of a handle's entry, see `download_lock`.

        Raises:
          CacheError: the directory cannot be written to.
        """
        with ExitStack() as stack:
            with self.writing():
                self.directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(download_lock(self.directory, key_of(handle), owner, on_wait))
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the system refuses into errors of modhub.

        Raises:
          CacheError: in place of an `OSError`.
        """
        try:
            yield
        except ModhubError:
            raise
        except OSError as error:
            raise CacheError(
                f"The cache {str(self.directory)!r} cannot be written: {error.strerror or error}. Make room or give "
                "permission, or name another directory by TFHUB_CACHE_DIR."
            ) from error

    def new_directory(self, handle: str, owner: str) -> Path:
        """Make an empty directory in which an entry can be put together.

        Raises:
          CacheError: it cannot be made.
        """
        with self.writing():
            path = self.directory / temporary_name(key_of(handle), owner, "tmp")
            path.mkdir()
            return path

    def install(
        self, temporary: Path, manifest: Manifest, sha256: str | None = None, *, is_local: bool = False
    ) -> Found:
        """Put a directory that is whole and on the disk in its place.

        If a usable entry has come into being there meanwhile, that one stays, and the directory is removed.

        Args:
          temporary: what `new_directory` gave.
          manifest: of what is in it; its key is the name that the entry gets.
          sha256: the digest that was asked for; then an entry with another one stays where it is, and this one gets a
            name that has the digest in it.
          is_local: whether it comes from a file of this machine, which says what the entry is to hold; then one that
            holds something else is replaced.

        Returns:
          The entry.

        Raises:
          CacheError: the system refuses.
        """
        key = manifest.key
        with self.writing():
            write_manifest(temporary, manifest, f"{MANIFEST}.new")
            sync_directory(temporary)
            for _ in range(_MOST_TRIES):
                # With digests: it may be damaged in a way that only they tell, and then this one is here to replace it.
                present = self.check(key, manifest.handle, digests=True)
                if present is not None and present.is_whole and present.manifest is not None:
                    if is_local and present.manifest.sha256 == manifest.sha256:
                        # Only the archive was written anew. Others may be reading the files, which are the same.
                        self.note(present, archive=manifest.archive, origin=manifest.origin)
                        remove_tree(temporary)
                        return present
                    if not is_local and (sha256 is None or present.manifest.has_digest(sha256)):
                        remove_tree(temporary)
                        return present
                    if sha256 is not None and key == manifest.key:
                        key = pinned_key(manifest.handle, sha256, manifest.key)
                        continue
                if put_in_place(temporary, self.directory / key, replaces=present is not None):
                    write_descriptor(self.directory, key, manifest.handle)
                    return Found(key=key, directory=self.directory / key, manifest=manifest)
        raise CacheError(
            f"{str(self.directory / key)!r} is being replaced over and over by other processes. Try again."
        )

    def note(self, found: Found, *, archive: FileDigest | None, origin: str) -> None:
        """Note in an entry's manifest what it comes from, see `Manifest`, where the directory can be written to."""
        if found.manifest is not None:
            with suppress(OSError):
                manifest = dataclasses.replace(found.manifest, archive=archive, origin=origin)
                write_manifest(found.directory, manifest, beside(found.directory))

    def remove(self, key: str) -> None:
        """Remove an entry; who looks it up sees it whole or not at all.

        Raises:
          CacheError: the system refuses.
        """
        with self.writing():
            aside = set_aside(self.directory / key)
            if aside is not None:
                remove_tree(aside)
            remove_tree(self.directory / descriptor_name(key))

    def keys(self) -> list[str]:
        """Return the names of all entries, damaged ones too.

        Raises:
          CacheError: the directory cannot be read.
        """
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CacheError(f"The cache {str(self.directory)!r} cannot be read: {error}.") from error
        return sorted(name for name in names if is_key(name) and (self.directory / name).is_dir())

    def _adopted(self, key: str, handle: str) -> Found:
        # Here, as few entries are tensorflow_hub's, and reading one needs much of `format`.
        from modhub.cache.foreign import describe_foreign

        directory = self.directory / key
        manifest = describe_foreign(directory, handle)
        with suppress(OSError):  # where it cannot be written, the entry is checked anew each time
            write_manifest(directory, manifest, beside(directory))
        return Found(key=key, directory=directory, manifest=manifest)

    def _touch(self, found: Found) -> None:
        """Note that an entry was used, where that was not noted in the last hour."""
        with suppress(OSError):
            path = found.directory / MANIFEST
            if time.time() - path.stat().st_mtime > _TOUCH_AFTER_S:
                os.utime(path)
