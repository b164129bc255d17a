"""What word vectors are, in plain Python: the reference for the reader. It knows no format but lines."""

from __future__ import annotations

import numpy as np

from modhub.export.text.vectors import Vectors, read_blocks


def plain_rows(data: bytes, dimension: int) -> list[tuple[bytes, list[int]]]:
    """Return the words, and the bits of their values, of lines that end with the values."""
    rows = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if fields := line.split():
            texts = fields[len(fields) - dimension :]
            rest = line
            for text in reversed(texts):
                rest = rest.rstrip()
                assert rest.endswith(text)
                rest = rest[: len(rest) - len(text)]
            rows.append((rest.strip(), [float_bits(float(text)) for text in texts]))
    return rows


def float_bits(value: float) -> int:
    with np.errstate(over="ignore"):
        return int(np.float32(value).view(np.uint32))


def read_rows(vectors: Vectors) -> list[tuple[bytes, list[int]]]:
    """Return the same of what the reader gives, and check the blocks."""
    rows: list[tuple[bytes, list[int]]] = []
    done = 0
    for block in read_blocks(vectors):
        assert block.start == len(rows)
        assert block.values.dtype == np.float32
        assert block.values.shape == (len(block.tokens), vectors.dimension)
        assert done <= block.done <= vectors.total
        done = block.done
        rows += zip(block.tokens, block.values.view(np.uint32).tolist(), strict=True)
    return rows
