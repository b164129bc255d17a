"""From the words after --input and --inputs-from to values by input name; files are read, nothing is converted."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modhub import errors
from modhub.cli.running.raw import SPARSE_KEYS, Array, Cells, Files, Json, Raw, SparseArrays, Text, is_leaf_object
from modhub.cli.running.sources import (
    STDIN,
    parse_json,
    read_csv,
    read_json,
    read_json_lines,
    read_lines,
    read_npy,
    read_npz,
)

__all__ = ["read_given"]

# A word of --input is NAME=VALUE if it begins with something like a name; JSON and @files begin otherwise.
_NAMED = re.compile(r"(?P<name>[^\s=@\[\]{}\"'-][^\s=\[\]{}\"']*)=(?P<value>.*)", re.DOTALL)
_WITH_KEY = re.compile(r"(?P<path>.+\.(?:npz|csv)):(?P<key>.+)", re.DOTALL | re.IGNORECASE)
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_KINDS = ".npy, .npz, .csv, .json, .jsonl, .txt, " + ", ".join(_IMAGES)


def read_given(words: Iterable[str], files: Iterable[str]) -> dict[str | None, Raw]:
    """Read all values that a command line gives.

    Args:
      words: those after --input: NAME=VALUE, or VALUE for the only input of a signature.
      files: those after --inputs-from.

    Returns:
      The values by input name; the name None stands for the only input.

    Raises:
      InvalidInputError: a file is missing or damaged, or an input is given twice.
    """
    words, files = tuple(words), tuple(files)
    _check_stdin(words, files)
    found: dict[str | None, Raw] = {}
    for entries in [*map(_from_file, files), *map(_from_word, words)]:
        for name, value in entries.items():
            if name in found:
                raise errors.InvalidInputError(
                    f"The input {name!r} is given twice: by {found[name].where} and by {value.where}."
                    if name is not None
                    else "Several values are given without a name: write --input NAME=VALUE."
                )
            found[name] = value
    return found


def _check_stdin(words: Sequence[str], files: Sequence[str]) -> None:
    readers = [word for word in words if word == STDIN or word.endswith("=" + STDIN)]
    if len(readers) + files.count(STDIN) > 1:
        raise errors.InvalidInputError(
            "stdin can be read once: give several inputs as one object in each line, with --inputs-from -."
        )


def _from_word(word: str) -> Mapping[str | None, Raw]:
    named = _NAMED.fullmatch(word)
    name, text = (named["name"], named["value"]) if named else (None, word)
    where = f"--input {word if len(word) <= 60 else word[:60] + '...'}"
    if text == STDIN:
        return _lines_for(name, read_json_lines(STDIN), where)
    if not text.startswith("@"):
        return {name: _inline(text, where)}
    paths = _paths(text, where)
    if len(paths) > 1 or _suffix(paths[0]) in _IMAGES:
        return {name: Files(where=where, paths=tuple(paths))}
    if _suffix(paths[0]) == ".jsonl":
        return _lines_for(name, read_json_lines(paths[0]), where)
    return {name: _file(paths[0], name, where)}


def _inline(text: str, where: str) -> Raw:
    parsed: Any = None
    try:
        parsed = parse_json(text, where)
    except errors.InvalidInputError as error:
        if text.startswith(("[", "{", '"')):
            raise errors.InvalidInputError(
                f"{error.message} A text that begins like JSON is given as JSON: '\"[a] text\"'."
            ) from error
    return Text(where=where, text=text, parsed=parsed)


def _paths(text: str, where: str) -> list[str]:
    """Return the files of "@a.png,@b.png" or of a pattern; a name that exists is no pattern."""
    whole = text.removeprefix("@")
    if os.path.exists(whole):
        return [whole]
    found: list[str] = []
    for part in re.split(r",@", whole):
        matches = [part] if os.path.exists(part) or not glob.has_magic(part) else sorted(glob.glob(part))
        if not matches:
            raise errors.InvalidInputError(f"No file matches the pattern {part!r} of {where}.")
        found += matches
    if len(found) > 1:
        for path in found:
            if _suffix(path) not in _IMAGES:
                raise errors.InvalidInputError(
                    f"{path!r} of {where} is no image: of several files, each has to be one of {', '.join(_IMAGES)}."
                )
    return found


def _file(path: str, name: str | None, where: str) -> Raw:
    path, key = _split_key(path)
    suffix = _suffix(path)
    if suffix == ".npy":
        return Array(where=where, value=read_npy(path))
    if suffix == ".npz":
        values = _arrays(path, read_npz(path))
        wanted = key or name
        if wanted is None and len(values) == 1:
            return next(iter(values.values()))
        if wanted not in values:
            raise errors.InvalidInputError(
                f"{path!r} has no array {wanted!r}. {errors.accepted(wanted, values, 'arrays')} "
                "Choose one as @FILE.npz:KEY."
            )
        return values[wanted]
    if suffix == ".csv":
        return Cells(where=where, rows=read_csv(path, key), is_column=key is not None)
    if suffix == ".json":
        return Json(where=where, value=read_json(path))
    if suffix == ".txt":
        return Json(where=where, value=read_lines(path))
    raise _unknown_kind(path, where, _KINDS)


def _from_file(word: str) -> Mapping[str | None, Raw]:
    where = f"--inputs-from {word}"
    path, prefix = _split_key(word)
    suffix = _suffix(path)
    if path == STDIN or suffix == ".jsonl":
        return _lines_for(None, read_json_lines(path), where)
    if suffix == ".npz":
        values = _arrays(path, read_npz(path))
        chosen: dict[str | None, Raw] = {
            name.removeprefix(prefix or ""): value for name, value in values.items() if name.startswith(prefix or "")
        }
        if not chosen:
            raise errors.InvalidInputError(
                f"No array of {path!r} has a name that begins with {prefix!r}. "
                + errors.accepted(prefix, values, "arrays")
            )
        return chosen
    if suffix == ".json":
        value = read_json(path)
        if not isinstance(value, dict):
            raise errors.InvalidInputError(f"{path!r} holds no object with values by input name.")
        return {name: Json(where=where, value=each) for name, each in value.items()}
    raise _unknown_kind(path, where, ".npz, .json, .jsonl")


def _lines_for(name: str | None, lines: list[Any], where: str) -> Mapping[str | None, Raw]:
    """Return a batch that has a line for each example: values, or objects of values by input name."""
    objects = [line for line in lines if isinstance(line, dict) and not is_leaf_object(line)]
    if any(set(line) == set(SPARSE_KEYS) for line in lines if isinstance(line, dict)):
        raise errors.InvalidInputError(
            f"{where} has sparse values in lines: give the whole batch as one, in a .json or .npz file."
        )
    if not objects:
        return {name: Json(where=where, value=lines)}
    names = list(objects[0])
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or set(line) != set(names):
            raise errors.InvalidInputError(
                f"Value {number} of {where} is not an object of {sorted(names)}, as the first."
            )
    if name is not None and name not in names:
        raise errors.InvalidInputError(f"The objects of {where} lack {name!r}. {errors.accepted(name, names, 'names')}")
    return {
        each: Json(where=where, value=[line[each] for line in lines]) for each in names if name is None or each == name
    }


def _arrays(path: str, arrays: Mapping[str, Any]) -> dict[str, Raw]:
    """Return the values of an .npz file; a sparse one is three arrays, "name#indices" and so on."""
    found: dict[str, Raw] = {}
    for key, array in arrays.items():
        name, _, part = key.rpartition("#")
        if part not in SPARSE_KEYS or not name:
            found[key] = Array(where=f"{path}:{key}", value=array)
            continue
        parts = {each: arrays[f"{name}#{each}"] for each in SPARSE_KEYS if f"{name}#{each}" in arrays}
        if len(parts) < len(SPARSE_KEYS):
            raise errors.InvalidInputError(
                f"{path!r} has {key!r}, and not all of {name}#indices, #values, #dense_shape."
            )
        found[name] = SparseArrays(where=f"{path}:{name}", **parts)
    return found


def _split_key(word: str) -> tuple[str, str | None]:
    found = _WITH_KEY.fullmatch(word)
    return (found["path"], found["key"]) if found and not os.path.exists(word) else (word, None)


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _unknown_kind(path: str, where: str, kinds: str) -> errors.InvalidInputError:
    problem = "is of no kind that is read" if os.path.exists(path) else "does not exist"
    return errors.InvalidInputError(f"The file {path!r} of {where} {problem}. Kinds, by the end of the name: {kinds}.")
