"""Shortens an exception to one line that is the same on every machine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.capabilities.training import FailedCheck

__all__ = ["reason"]

_WIDTH = 200
# What is around the reason: what Keras and TensorFlow say of where it happened.
_AROUND = re.compile(
    r"Exception encountered when calling|in user code:|File \"|Graph execution error|Detected at node|Call arguments"
    r"|<stack traces unavailable>|\[\[\{\{node|\d+ root error|Arguments received by|[~^ ]+$"
)
_CHANGES = (
    (r"\x1b\[[0-9;]*m", ""),  # colours
    (r"0x[0-9a-f]+", "0x..."),
    (r"(\D_)\d{2,}\b", r"\1..."),  # ids
    (r"(?:/[\w.+-]+){2,}/", ".../"),
    (r"uninitialized value \S+", "uninitialized value"),  # whichever of them is read first
    (r"^Binding inputs to tf.function failed due to `", ""),
    (r"\[Op:.*", ""),
)


def reason(error: BaseException, folders: Sequence[str]) -> str:
    """Return the kind of an exception and its first sentence, without what differs from run to run.

    Args:
      error: the exception.
      folders: directories whose names are left out.
    """
    if isinstance(error, FailedCheck):
        return str(error)
    text = str(error)
    for folder in folders:
        text = text.replace(folder, "...")
    lines = [line.strip() for line in text.splitlines()]
    if "in user code:" in lines:  # then come frames, and then the error itself
        lines = [line.partition(": ")[2] for line in lines if re.match(r"\w+(Error|Exception): ", line)] or lines
    line = next((line for line in lines if re.search(r"\w", line) and not _AROUND.match(line)), "")
    for pattern, instead in _CHANGES:
        line = re.sub(pattern, instead, line)
    sentence = re.split(r"(?<=[a-z)'\"`])\. (?=[A-Z])", line)[0].strip(" .:`")
    if len(sentence) > _WIDTH:
        sentence = sentence[:_WIDTH].rsplit(" ", 1)[0] + " ..."
    return f"{type(error).__name__}: {sentence}"
