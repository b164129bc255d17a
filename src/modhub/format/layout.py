"""The names of the files in a module directory, and the marker that makes a directory a module."""

from __future__ import annotations

from pathlib import Path

from modhub.errors import CorruptModuleError, HandleNotFoundError, NotAModuleError, UnsupportedFormatError

__all__ = [
    "ASSETS",
    "BUNDLE",
    "MANIFEST",
    "MODULE_DEF",
    "MODULE_DEF_BYTES",
    "SAVED_MODEL",
    "VARIABLES",
    "check_module_def",
    "read_module_def",
]

MODULE_DEF = "tfhub_module.pb"
SAVED_MODEL = "saved_model.pb"
VARIABLES = "variables"
BUNDLE = "variables/variables"
ASSETS = "assets"
# What the cache knows of a directory it keeps; no file of the module.
MANIFEST = ".modhub-manifest.json"

# ModuleDef(format=FORMAT_V3): the only content that was ever published.
MODULE_DEF_BYTES = b"\x08\x03"

_FORMAT = 3
# A real marker has two bytes; a file that is far longer is something else, and need not be read to its end.
_MOST_BYTES = 65536
_SHOWN_NAMES = 5


def read_module_def(directory: Path) -> None:
    """Check the marker file that tells a TF1 Hub module from other directories.

    Args:
      directory: the module directory.

    Raises:
      HandleNotFoundError: `directory` does not exist, or is not a directory.
      NotAModuleError: it has no `tfhub_module.pb`; the message says what it looks like.
      UnsupportedFormatError: the marker asks for a format or for features that modhub does not know.
      CorruptModuleError: the marker is damaged.

    Example:
      >>> read_module_def(Path("no/such/module"))
      Traceback (most recent call last):
      modhub.errors.HandleNotFoundError: 'no/such/module' does not exist.
    """
    path = directory / MODULE_DEF
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise CorruptModuleError(f"{str(path)!r} is a directory; a module has a file there.") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if not directory.exists():
            raise HandleNotFoundError(f"{str(directory)!r} does not exist.") from error
        if not directory.is_dir():
            raise HandleNotFoundError(
                f"{str(directory)!r} is a file; a module is a directory. If it is an archive, unpack it first."
            ) from error
        raise NotAModuleError(
            f"{str(directory)!r} is not a TF1 Hub module: it has no {MODULE_DEF!r}. {_appearance(directory)}"
        ) from error
    check_module_def(data, str(path))


def check_module_def(data: bytes, where: str) -> None:
    """Check the contents of the marker file.

    Args:
      data: the contents, or their beginning, of more than 64 KiB.
      where: the path of the file, for messages.

    Raises:
      UnsupportedFormatError, CorruptModuleError: as `read_module_def`.
    """
    if data != MODULE_DEF_BYTES:
        _refuse(where, data)


def _refuse(path: str, data: bytes) -> None:
    """Raise the error that says best what is wrong with a marker that is not the expected one."""
    damaged = f"{path!r} is damaged: {{}}. Download or export the module again."
    if not data:
        raise CorruptModuleError(damaged.format("it is empty"))
    if len(data) > _MOST_BYTES:
        raise CorruptModuleError(damaged.format(f"it has more than {_MOST_BYTES} bytes"))
    # Here, so that who needs only names does not pay for protobuf.
    from google.protobuf.message import DecodeError

    from modhub.format.protos import ModuleDef

    module_def = ModuleDef()
    try:
        module_def.ParseFromString(data)
    except DecodeError as error:
        raise CorruptModuleError(damaged.format("it does not parse as a ModuleDef")) from error
    newer = f"{path!r} was written by a newer library, or is damaged."
    if module_def.format != _FORMAT:
        raise UnsupportedFormatError(
            f"Unsupported module def format: {module_def.format}. modhub reads format {_FORMAT}. {newer}"
        )
    if module_def.required_features:
        features = list(module_def.required_features)
        raise UnsupportedFormatError(f"Unsupported features: {features!r}. modhub knows none. {newer}")
    # The same values in other bytes: unknown fields, a repeated field, a padded varint. No writer makes these.
    raise CorruptModuleError(damaged.format(f"expected the bytes {MODULE_DEF_BYTES!r}, found {data[:16]!r}"))


def _appearance(directory: Path) -> str:
    """Say what a directory without the marker looks like, and what to do with it."""
    names = sorted(entry.name for entry in directory.iterdir())
    if SAVED_MODEL in names or "saved_model.pbtxt" in names:
        return (
            "It is a plain SavedModel: use modhub.create_module_spec_from_saved_model(path) for a TF1 SavedModel, "
            "tf.saved_model.load(path) for a TF2 SavedModel."
        )
    nested = [name for name in names if (directory / name / MODULE_DEF).is_file()]
    if nested:
        return f"There is a module one level down: did you mean {str(directory / nested[0])!r}?"
    indices = [name for name in names if name.endswith(".index")]
    if indices:
        return f"It looks like a checkpoint ({indices[0]!r}): load it with the code that built its graph."
    if not names:
        return "It is empty: download or export the module again."
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"It holds {', '.join(repr(name) for name in names[:_SHOWN_NAMES])}{more}: check the path."
