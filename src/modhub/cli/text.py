"""Text of others on a terminal: what would control it, or cannot be written to it, is shown escaped."""

from __future__ import annotations

import contextlib
import io
import re
import sys

__all__ = ["CONTROLS", "escape_what_cannot_be_written", "shown"]

# C0 (with ESC), DEL and C1 (with CSI) controls; line separators; marks that turn the direction of text around and so
# can make a name look like another one; tags; the byte order mark; and halves of surrogate pairs, which no encoding
# takes.
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)


def shown(text: str) -> str:
    r"""Return a text in which no character acts on a terminal.

    Example:
      >>> print(shown("a\x1b[31mb\n"))
      a\x1b[31mb\n
    """
    return CONTROLS.sub(lambda found: _escaped(found.group()), text)


def escape_what_cannot_be_written() -> None:
    """Make stdout and stderr escape characters that their encoding lacks, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # it is closed
                stream.reconfigure(errors="backslashreplace")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
