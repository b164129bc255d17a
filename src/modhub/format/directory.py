"""The making of module directories: all of one or nothing, and never one that is half written."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modhub.errors import ExportError, ExportExistsError, InvalidArgumentError, ModhubError
from modhub.format.layout import MODULE_DEF, MODULE_DEF_BYTES

__all__ = ["asset_names", "new_module_directory"]

# Characters of the target's name that the temporary name repeats. Names have at most 255 bytes.
_SHOWN_CHARACTERS = 50


@contextmanager
def new_module_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a module directory that appears at once and whole, or not at all.

    The block writes into a temporary directory beside the target. When it ends, `tfhub_module.pb` is written, and the
    directory is renamed. A process that is killed before leaves a directory named `.<name>.<uuid>.partial`, which is
    not a module and can be removed. Nothing waits for the disk: after a power failure within seconds, files may be
    empty or cut off, which a reader finds by their checksums.

    Args:
      path: the target, which must not exist; missing parent directories are made.

    Yields:
      The directory to write into. `tfhub_module.pb` is not the block's to write.

    Raises:
      ExportExistsError: the target exists, also as a dangling symbolic link; it is left as it is.
      ExportError: the system refused something, e.g. for want of space or of permission. Nothing is left behind.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with new_module_directory(f"{folder}/models/tiny") as directory:
      ...         _ = (directory / "saved_model.pb").write_bytes(b"")
      ...     sorted(path.name for path in Path(folder, "models", "tiny").iterdir())
      ['saved_model.pb', 'tfhub_module.pb']
    """
    target = Path(path)
    made: list[Path] = []
    partial = target.parent / f".{target.name[:_SHOWN_CHARACTERS]}.{uuid.uuid4().hex}.partial"
    try:
        _refuse_existing(target)
        _make_parents(target.parent, made)
        try:
            partial.mkdir()
            yield partial
            _write_marker(partial)
            # Renaming would replace an empty directory that has come into being meanwhile.
            _refuse_existing(target)
            partial.rename(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except BaseException as error:
        for parent in reversed(made):
            # Not ours any more where another export has gone into it, or this one has.
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError) and not isinstance(error, ModhubError):
            raise ExportError(f"Cannot write the module {str(target)!r}: {error}. Nothing was left there.") from error
        raise


def asset_names(sources: Iterable[str]) -> dict[str, str]:
    """Choose the names of asset files under `assets/`.

    A file keeps its name; where two different paths end in the same name, the later gets the first of the suffixes
    "0", "1", ... that makes it unique, the rule of the TF1 Hub format.

    Args:
      sources: paths of the files; a path may occur again.

    Returns:
      The name for each path.

    Raises:
      InvalidArgumentError: a path does not end in the name of a file.

    Example:
      >>> asset_names(["en/words.txt", "de/words.txt", "en/words.txt"])
      {'en/words.txt': 'words.txt', 'de/words.txt': 'words.txt0'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    suffixes: dict[str, int] = {}
    for source in sources:
        if source in names:
            continue
        base = name = os.path.basename(source)
        if base in ("", ".", ".."):
            raise InvalidArgumentError(f"{source!r} does not name a file, so it cannot be an asset.")
        while name in taken:
            suffix = suffixes.get(base, 0)
            suffixes[base] = suffix + 1
            name = f"{base}{suffix}"
        taken.add(name)
        names[source] = name
    return names


def _refuse_existing(target: Path) -> None:
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except ValueError as error:  # a null byte
        raise InvalidArgumentError(f"{str(target)!r} is not a path: {error}.") from error
    raise ExportExistsError(f"{str(target)!r} exists; it was left as it is. Remove it, or export to another path.")


def _make_parents(parent: Path, made: list[Path]) -> None:
    """Make a directory and those above it, and note which ones were missing, outermost first."""
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    for directory in reversed(missing):
        with suppress(FileExistsError):
            directory.mkdir()
            made.append(directory)


def _write_marker(directory: Path) -> None:
    """Write the file that makes the directory a module, as the last one; it is never there without its contents."""
    marker = directory / f"{MODULE_DEF}.partial"
    marker.write_bytes(MODULE_DEF_BYTES)
    marker.rename(directory / MODULE_DEF)
