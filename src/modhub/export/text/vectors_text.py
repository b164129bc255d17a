"""Text files of word vectors, read in blocks by two threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import BinaryIO, NoReturn, TypeAlias

from modhub.errors import InvalidArgumentError
from modhub.export.text.vectors_arrow import arrow_parser
from modhub.export.text.vectors_lines import Lines, LinesError, count_line_feeds, parse_lines
from modhub.export.text.vectors_sniffing import LONGEST_LINE, UNREADABLE, open_unpacked
from modhub.export.text.vectors_source import MOST_WORDS, Block, Layout, place, refuse

__all__ = ["read_text"]

# Of text. Twice as much is no faster, and takes 50 MB more: some blocks are in memory at a time, with what is made of
# them.
_BLOCK_BYTES = 2 * 2**20
_VALUE_BYTES = 8  # about, as text
# pyarrow runs without the interpreter's lock; with more, the memory and the thread that writes are the limit.
_THREADS = 2

# Takes one thing: what became of a chunk.
_Outcome: TypeAlias = "SimpleQueue[Lines | BaseException]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Whole lines of the file, the index of the first, and how many bytes of the file were read by then."""

    data: bytes
    start: int
    done: int


def read_text(path: Path, layout: Layout, max_words: int | None, total: int) -> Iterator[Block]:
    """Read a text file of word vectors, in constant memory.

    Args:
      path: the file.
      layout: how the vectors lie in it.
      max_words: how many are read; no line after them is looked at.
      total: how many bytes the file had when the layout was found.

    Yields:
      Blocks, in the order of the file.

    Raises:
      InvalidArgumentError: a line breaks the rules of `parse_lines`, the header promises another number of vectors,
        the file cannot be read, or it has another size when its end comes.
    """
    fast = arrow_parser(layout)
    # The words so far: it is also the index of a line, because no line between vectors is blank.
    start = 0
    blank: int | None = None
    with closing(_chunks(path, layout, max_words, total)) as chunks, closing(_parsed(chunks, layout, fast)) as parsed:
        for chunk, outcome in parsed:
            try:
                lines = _result(outcome)
            except LinesError as error:
                if blank is not None:
                    _refuse_blank(path, layout, blank)
                raise InvalidArgumentError(f"{place(path, layout, chunk.start + error.index)}: {error}") from error
            if blank is not None and lines.tokens:
                _refuse_blank(path, layout, blank)
            if lines.blank is not None and blank is None:
                blank = chunk.start + lines.blank
            _check_promise(path, layout, start + len(lines.tokens), at_end=False)
            if lines.tokens:
                yield Block(start=start, tokens=lines.tokens, values=lines.values, done=chunk.done)
            start += len(lines.tokens)
    if max_words is None or start < max_words:
        _check_promise(path, layout, start, at_end=True)


def _refuse_blank(path: Path, layout: Layout, index: int) -> NoReturn:
    refuse(place(path, layout, index), "is blank; only the last lines may be.")


def _check_promise(path: Path, layout: Layout, count: int, *, at_end: bool) -> None:
    words = layout.words
    if words is not None and (count > words or (at_end and count != words)):
        found = f"there are {count}" if at_end else "there are more"
        refuse(
            f"{str(path)!r}, line 1",
            f"the header promises {words} vectors, but {found}. The file is cut off or damaged; if it is not, correct "
            "its first line.",
        )


def _parsed(
    chunks: Iterator[_Chunk], layout: Layout, fast: Callable[[bytes], Lines | None] | None
) -> Generator[tuple[_Chunk, _Outcome], None, None]:
    """Parse chunks in threads, some ahead of who takes them, in their order.

    Ctrl-C may come at any step. In the locks of `concurrent.futures`, which are written in Python, it can leave one
    locked, and who waits for the threads then waits forever; a SimpleQueue is written in C.
    """

    def parse(data: bytes) -> Lines:
        lines = fast(data) if fast else None
        return parse_lines(data, layout.dimension) if lines is None else lines

    def work() -> None:
        while (job := jobs.get()) is not None:
            data, outcome = job
            try:
                outcome.put(parse(data))
            except BaseException as error:
                outcome.put(error)
            del job, data, outcome  # or a block more is in memory while this waits

    jobs: SimpleQueue[tuple[bytes, _Outcome] | None] = SimpleQueue()
    waiting: deque[tuple[_Chunk, _Outcome]] = deque()
    # Python alone takes turns anyway, and each turn has a block in memory.
    count = _THREADS if fast else 1
    started: list[Thread] = []
    try:
        for _ in range(count):
            # One that was interrupted while it started is not waited for when the process ends.
            thread = Thread(target=work, daemon=True)
            thread.start()
            started.append(thread)
        for chunk in chunks:
            outcome: _Outcome = SimpleQueue()
            jobs.put((chunk.data, outcome))
            waiting.append((chunk, outcome))
            if len(waiting) > count:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        with suppress(Empty):
            while True:
                jobs.get_nowait()
        for _ in range(count):
            jobs.put(None)
        for thread in started:
            thread.join()


def _result(outcome: _Outcome) -> Lines:
    found = outcome.get()
    if isinstance(found, BaseException):
        raise found
    return found


def _chunks(path: Path, layout: Layout, max_words: int | None, total: int) -> Generator[_Chunk, None, None]:
    """Read whole lines, about a block at a time, and no more of them than there are to be words."""
    start = 0
    block_bytes = min(_BLOCK_BYTES, _VALUE_BYTES * layout.dimension * MOST_WORDS)
    try:
        with path.open("rb") as raw, open_unpacked(raw, layout.gzip) as file:
            file.read(layout.skipped)
            while max_words is None or start < max_words:
                data = file.read(block_bytes)
                if not data:
                    _check_size(path, raw, total)
                    return
                data += _rest_of_line(path, file, layout, start, data)
                count = count_line_feeds(data)
                if max_words is not None and count > max_words - start:
                    count = max_words - start
                    data = _first_lines(data, count)
                yield _Chunk(data=data, start=start, done=raw.tell())
                start += count
    except UNREADABLE as error:
        # The system's own errors have a number; others are those of gzip.
        advice = "" if getattr(error, "errno", None) else " Its download may be incomplete."
        raise InvalidArgumentError(f"Cannot read {place(path, layout, start)} and on: {error}.{advice}") from error


def _check_size(path: Path, raw: BinaryIO, total: int) -> None:
    """Refuse a file that grew or was cut off meanwhile: where that falls on the end of a line, nothing else tells."""
    size = raw.seek(0, os.SEEK_END)
    if size != total:
        refuse(str(path), f"had {total} bytes when it was opened, and {size} at its end. Is it still being written?")


def _rest_of_line(path: Path, file: BinaryIO, layout: Layout, start: int, data: bytes) -> bytes:
    """Return what is missing of the last line of some data, whose first line has the index `start`."""
    if data.endswith(b"\n"):
        return b""
    rest = file.readline(LONGEST_LINE)
    if len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
        where = place(path, layout, start + count_line_feeds(data))
        refuse(where, f"is longer than {LONGEST_LINE} bytes; the file is damaged.")
    return rest


def _first_lines(data: bytes, count: int) -> bytes:
    end = 0
    for _ in range(count):
        end = data.index(b"\n", end) + 1
    return data[:end]
