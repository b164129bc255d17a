from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import CorruptModuleError, ModhubError
from modhub.format import read_table, write_table
from modhub.format.checksum import masked_crc32c
from modhub.format.snappy import expand_snappy
from modhub.format.table import _Reader
from modhub.format.varint import encode_varint, read_varint

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))
_MAGIC = bytes.fromhex("57fb808b247547db")


def _entry(key: bytes, value: bytes = b"", shared: int = 0) -> bytes:
    return encode_varint(shared) + encode_varint(len(key)) + encode_varint(len(value)) + key + value


def _block(*entries: bytes, restarts: tuple[int, ...] = (0,)) -> bytes:
    return b"".join(entries) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


class _Table:
    """Builds a table from blocks, with any fault that the test wants."""

    def __init__(self) -> None:
        self.data = b""

    def put(self, block: bytes, kind: int = 0) -> bytes:
        """Append a block; return its handle."""
        handle = encode_varint(len(self.data)) + encode_varint(len(block))
        checked = block + bytes([kind])
        self.data += checked + struct.pack("<I", masked_crc32c(checked))
        return handle

    def finish(self, index: bytes, metaindex: bytes | None = None) -> bytes:
        handles = self.put(_block()) if metaindex is None else metaindex
        handles += self.put(index)
        return self.data + handles.ljust(40, b"\x00") + _MAGIC


def _one_block(block: bytes, kind: int = 0, bound: bytes = b"z") -> bytes:
    table = _Table()
    return table.finish(_block(_entry(bound, table.put(block, kind))))


def _assert_refused(data: bytes, message: str = "is damaged") -> None:
    with pytest.raises(CorruptModuleError, match=message) as caught:
        read_table(data, "variables.index")
    assert "variables.index" in str(caught.value)


_SMALL = write_table([(b"", b"header"), *((b"name/%02d" % number, b"v" * (number % 3)) for number in range(20))])


@given(st.dictionaries(st.binary(max_size=12), st.binary(max_size=40), max_size=60))
def test_what_is_written_is_read(items: dict[bytes, bytes]) -> None:
    assert list(read_table(write_table(sorted(items.items())), "").items()) == sorted(items.items())


def test_a_table_of_many_blocks_is_read() -> None:
    items = {b"%06d" % number: b"x" * 90000 for number in range(20)}
    assert read_table(memoryview(write_table(items.items())), "") == items


@pytest.mark.parametrize("items", [[(b"b", b""), (b"a", b"")], [(b"a", b""), (b"a", b"")]])
def test_keys_must_ascend(items: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ValueError, match="keys must ascend"):
        write_table(items)


@pytest.mark.parametrize("table", [_SMALL, write_table([])], ids=["small", "empty"])
def test_every_flipped_bit_is_an_error(table: bytes) -> None:
    for bit in range(8 * len(table)):
        damaged = bytearray(table)
        damaged[bit // 8] ^= 1 << bit % 8
        _assert_refused(bytes(damaged))


def test_every_truncation_and_extension_is_an_error() -> None:
    for length in range(len(_SMALL)):
        _assert_refused(_SMALL[:length])
    for extra in (b"\x00", _MAGIC, _SMALL):
        _assert_refused(_SMALL + extra)
        _assert_refused(extra + _SMALL)


@given(st.binary(max_size=200))
def test_any_bytes_before_a_true_magic_are_refused(data: bytes) -> None:
    _assert_refused(data + _MAGIC)


def test_the_handmade_table_is_sound() -> None:
    assert read_table(_one_block(_block(_entry(b"a", b"1"), _entry(b"b", b"2", shared=1))), "") == {
        b"a": b"1",
        b"ab": b"2",
    }


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"", "restart points"),
        (_block(restarts=()), "restart points"),
        (_block(_entry(b"a"), restarts=(4,)), "restart points"),
        (_block(_entry(b"a"), _entry(b"b"), restarts=(0, 0)), "restart points"),
        (_block(_entry(b"a"), _entry(b"b"), restarts=(0, 5)), "within an entry"),
        (_block(_entry(b"a"), _entry(b"b"), restarts=(0, 8)), "within an entry"),
        (_block(_entry(b"a"), _entry(b"b", shared=1), restarts=(0, 4)), "must not depend"),
        (struct.pack("<I", 2**32 - 1), "restart points"),
        (_block(), "does not bound"),
        (_block(_entry(b"a"), _entry(b"a")), "out of order"),
        (_block(_entry(b"b"), _entry(b"a")), "out of order"),
        (_block(_entry(b"zz")), "does not bound"),
        (_block(_entry(b"a", shared=1)), "exceeds its block"),
        (_block(_entry(b"a"), b"\x00\xff\xff\xff\xff\x0f\x00"), "exceeds its block"),
        (_block(_entry(b"a"), b"\x00\x00\xff\xff\xff\xff\x1f"), "more than 32 bits"),
        (_block(_entry(b"a"), b"\x80\x00\x01\x00b"), "padded"),
        (_block(_entry(b"a"), b"\x00\x80"), "cut off"),
        (_block(_entry(b"a"), b"\xff" * 50), "more than 32 bits"),
    ],
)
def test_an_inconsistent_block_is_refused(block: bytes, message: str) -> None:
    _assert_refused(_one_block(block), message)


def test_blocks_out_of_order_are_refused() -> None:
    table = _Table()
    high, low = table.put(_block(_entry(b"x"))), table.put(_block(_entry(b"a")))
    _assert_refused(table.finish(_block(_entry(b"x", high), _entry(b"y", low), restarts=(0,))), "out of order")


def test_a_block_below_the_bound_of_the_one_before_is_refused() -> None:
    table = _Table()
    first, second = table.put(_block(_entry(b"a"))), table.put(_block(_entry(b"c")))
    _assert_refused(table.finish(_block(_entry(b"d", first), _entry(b"e", second))), "out of order")


def test_unclaimed_bytes_are_refused() -> None:
    table = _Table()
    table.put(_block(_entry(b"a")))
    _assert_refused(table.finish(_block(_entry(b"z", table.put(_block(_entry(b"a")))))), "belong to no block")


def test_a_block_named_twice_is_refused() -> None:
    table = _Table()
    handle = table.put(_block(_entry(b"filter", b"x" * 100)))
    metaindex = table.put(_block(*(_entry(b"%03d" % number, handle) for number in range(500))))
    _assert_refused(table.finish(_block(), metaindex), "names a block twice")


def test_restart_points_are_not_unpacked_if_they_cannot_be_true() -> None:
    block = _entry(b"a") + bytes(2**24) + struct.pack("<I", 2**22)
    tracemalloc.start()
    _assert_refused(_one_block(block), "restart points")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**27


def test_a_table_has_a_limited_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modhub.format.table._MOST_ENTRIES", 100)
    items = [(b"%03d" % number, b"") for number in range(101)]
    assert len(read_table(write_table(items[:100]), "")) == 100
    _assert_refused(write_table(items), "it has more than 100 entries")


def _blocks(table: bytes) -> list[tuple[int, int]]:
    reader = _Reader(table)
    reader.read()
    return sorted(reader._claimed)


_BLOCKS = _blocks(_SMALL)


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.data())
def test_fuzzed_blocks_with_true_checksums_raise_nothing_but_our_errors(choices: st.DataObject) -> None:
    table = bytearray(_SMALL)
    for _ in range(choices.draw(st.integers(1, 4))):
        at = choices.draw(st.integers(0, len(table) - len(_MAGIC) - 1))
        table[at] = choices.draw(st.integers(0, 255))
    for start, end in _BLOCKS:
        table[end - 4 : end] = struct.pack("<I", masked_crc32c(bytes(table[start : end - 4])))
    with contextlib.suppress(ModhubError):
        read = read_table(bytes(table), "variables.index")
        assert list(read) == sorted(read)


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.binary(max_size=100), st.lists(st.binary(max_size=30), max_size=3))
def test_fuzzed_blocks_of_any_bytes_raise_nothing_but_our_errors(block: bytes, others: list[bytes]) -> None:
    table = _Table()
    handles = [table.put(content, kind=len(content) % 3) for content in (block, *others)]
    rows = [_entry(b"%d" % number, handle) for number, handle in enumerate(handles)]
    with contextlib.suppress(ModhubError):
        read_table(table.finish(_block(*rows)), "variables.index")


def test_a_metaindex_may_name_a_block() -> None:
    table = _Table()
    metaindex = table.put(_block(_entry(b"filter.any", table.put(b"opaque"))))
    assert read_table(table.finish(_block(), metaindex), "") == {}


@pytest.mark.parametrize(
    "handle", [b"", b"\x00", b"\xff" * 9 + b"\x01\x08", b"\x00" + b"\xff" * 9 + b"\x01", b"\x00\x08\x00", b"\xff" * 20]
)
def test_a_handle_that_leads_nowhere_is_refused(handle: bytes) -> None:
    _assert_refused(_Table().finish(_block(_entry(b"z", handle))))


@pytest.mark.parametrize("kind", [2, 255])
def test_an_unknown_compression_is_refused(kind: int) -> None:
    _assert_refused(_one_block(_block(_entry(b"a")), kind), "compressed in a way")


def test_a_snappy_block_is_read() -> None:
    block = _block(_entry(b"abcabc", b"v"))
    literal = bytes([len(block), (6 - 1) << 2]) + block[:6]
    copy = bytes([(3 - 1) << 2 | 2, 3, 0])
    packed = literal + copy + bytes([(len(block) - 9 - 1) << 2]) + block[9:]
    assert read_table(_one_block(packed, kind=1), "") == {b"abcabc": b"v"}


@pytest.mark.parametrize(
    ("packed", "expanded"),
    [
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x0c\x00a\x1d\x01", b"a" * 12),
        (b"\x08\x04ab\x17\x02\x00\x00\x00", b"abababab"),
        (bytes([100, 60 << 2, 99]) + b"x" * 100, b"x" * 100),
        (b"\xac\x02" + bytes([61 << 2, 43, 1]) + b"x" * 300, b"x" * 300),
    ],
)
def test_snappy_expands(packed: bytes, expanded: bytes) -> None:
    assert expand_snappy(packed, 1000) == expanded
    for length in range(len(packed)):
        with pytest.raises(ValueError, match=r"."):
            expand_snappy(packed[:length], 1000)


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"\x04\x09\x01", "before its start"),
        (b"\x05\x00a\x01\x00", "before its start"),
        (b"\x05\x00a\x01\x02", "before its start"),
        (b"\xff\xff\xff\xff\x0f\x00a", "state a size"),
        (b"\x02\x08abc", "expands to 3 bytes, not to 2"),
        (b"\x03\xf3" + b"\xff" * 4, "before its start"),
        (b"\x03\xfc" + b"\xff" * 4, "cut off"),
    ],
)
def test_bad_snappy_is_refused(packed: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand_snappy(packed, 1000)


def test_snappy_keeps_to_the_limit() -> None:
    with pytest.raises(ValueError, match="state a size of 12"):
        expand_snappy(b"\x0c\x00a\x1d\x01", 11)


def test_keys_that_share_a_long_prefix_do_not_fill_the_memory() -> None:
    long = _entry(b"k" * 2**20)
    growing = (_entry(b"k", shared=2**20 + number) for number in range(1000))
    tracemalloc.start()
    _assert_refused(_one_block(_block(long, *growing)), "its keys have more than")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**27


@given(st.integers(0, 2**64 - 1))
def test_varints_round_trip_and_have_one_form(value: int) -> None:
    encoded = encode_varint(value)
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))
    padded = encoded[:-1] + bytes([encoded[-1] | 0x80, 0])
    with pytest.raises(ValueError, match=r"padded|more than 64 bits"):
        read_varint(padded, 0, len(padded))
    with pytest.raises(ValueError, match="cut off"):
        read_varint(encoded, 0, len(encoded) - 1)
