"""Outputs as a file: .npz, .npy, .jsonl or .csv; it is there when it is whole."""

from __future__ import annotations

import csv
import io
import os
import secrets
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from modhub import errors

if TYPE_CHECKING:
    import numpy as np

    from modhub.cli.running.results import Result

__all__ = ["check_target", "save"]

_KINDS = (".npz", ".npy", ".jsonl", ".csv")


def check_target(path: str, force: bool) -> None:
    """Check, before anything is computed, that a file can be written.

    Raises:
      InvalidArgumentError: the end of its name says no kind that is written.
      ExportExistsError: it exists.
      ExportError: its folder does not exist.
    """
    if _suffix(path) not in _KINDS:
        raise errors.InvalidArgumentError(
            f"The end of {path!r} says no kind of file that is written. " + errors.accepted("", _KINDS, "ends")
        )
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise errors.ExportError(f"{path!r} cannot be written: there is no folder {folder!r}.")
    if os.path.isdir(path) or (os.path.lexists(path) and not force):
        hint = "it is a folder" if os.path.isdir(path) else "--force overwrites it"
        raise errors.ExportExistsError(f"{path!r} exists: {hint}.")


def save(path: str, results: Mapping[str, Result], force: bool) -> None:
    """Write outputs to a file.

    Of an .npz file, sparse and ragged outputs are several arrays: "name#indices" and so on, as --inputs-from reads
    them. Texts are arrays of bytes (dtype S). In .jsonl a row (of axis 0) is a line, an object by output name; in .csv
    it is a row, and an output of two dimensions is columns name_0, name_1, ...

    Raises:
      InvalidArgumentError: the kind of file cannot have these outputs.
      ExportExistsError: it exists.
      ExportError: it could not be written; nothing is left behind.
    """
    writer = {".npz": _npz, ".npy": _npy, ".jsonl": _jsonl, ".csv": _csv}[_suffix(path)]
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            writer(file, results)
        check_target(path, force)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.ExportError(f"{path!r} cannot be written: {error.strerror}.") from error
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _npz(file: BinaryIO, results: Mapping[str, Result]) -> None:
    import numpy as np

    # np.savez takes names as keywords, and so has no array called "file".
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, result in results.items():
            for part, array in result.arrays.items():
                key = name if result.kind == "dense" else f"{name}#{part}"
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, _storable(array, name), allow_pickle=False)


def _npy(file: BinaryIO, results: Mapping[str, Result]) -> None:
    import numpy as np

    if len(results) != 1 or next(iter(results.values())).kind != "dense":
        raise errors.InvalidArgumentError(
            f"An .npy file has one dense array, and these are the outputs {sorted(results)}: choose one with "
            "--outputs, or write an .npz file."
        )
    ((name, result),) = results.items()
    np.lib.format.write_array(file, _storable(result.arrays["values"], name), allow_pickle=False)


def _jsonl(file: BinaryIO, results: Mapping[str, Result]) -> None:
    from modhub.cli.json_output import as_json
    from modhub.cli.running.results import plain_list

    columns = {
        name: result.nested or plain_list(values) for name, (result, values) in _by_row(results, "jsonl").items()
    }
    for row in zip(*columns.values(), strict=True):
        file.write(as_json(dict(zip(columns, row, strict=True))).encode() + b"\n")


def _csv(file: BinaryIO, results: Mapping[str, Result]) -> None:
    from modhub.cli.running.results import plain_list

    header: list[str] = []
    columns: list[Any] = []
    for name, (result, values) in _by_row(results, "csv").items():
        if values.ndim > 2 or result.kind != "dense":
            raise errors.InvalidArgumentError(
                f"A .csv file has outputs of one or two dimensions, and {name!r} is {result.kind} {list(result.shape)}"
                ": choose with --outputs, or write an .npz file."
            )
        header += [name] if values.ndim == 1 else [f"{name}_{index}" for index in range(values.shape[1])]
        columns += [values] if values.ndim == 1 else list(values.T)
    text = io.TextIOWrapper(file, "utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(header)
    rows.writerows(zip(*[map(_cell, plain_list(column)) for column in columns], strict=True))
    text.flush()
    text.detach()


def _by_row(results: Mapping[str, Result], kind: str) -> dict[str, tuple[Result, np.ndarray[Any, Any]]]:
    lengths = {name: result.shape[0] if result.shape else None for name, result in results.items()}
    if None in lengths.values() or len(set(lengths.values())) != 1 or any(r.kind == "sparse" for r in results.values()):
        raise errors.InvalidArgumentError(
            f"A .{kind} file has outputs with the same number of rows, and none that is sparse; here are "
            f"{ {name: f'{result.kind} {list(result.shape)}' for name, result in results.items()} }: choose with "
            "--outputs, or write an .npz file."
        )
    return {name: (result, result.arrays["values"]) for name, result in results.items()}


def _storable(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Return an array of a dtype that .npy files have, without pickling."""
    import numpy as np

    if array.dtype == object:
        if any(text.endswith(b"\0") for text in array.reshape(-1).tolist()):
            raise errors.InvalidArgumentError(
                f"The output {name!r} has texts that end with a zero byte, which NumPy's dtype S drops: write .jsonl."
            )
        return array.astype(np.bytes_)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _cell(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()
