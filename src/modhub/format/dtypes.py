"""The numbers of TensorFlow's data types, and the size of an element of each in a file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ITEM_BYTES", "NUMPY_NAMES", "RESOURCE", "STRING", "VARIANT", "dtype_name", "element_count"]

STRING, RESOURCE, VARIANT = 7, 20, 21

# Of those that numpy has by itself: number -> the numpy name. The others come from ml_dtypes, or are quantized.
NUMPY_NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "float32",
        2: "float64",
        3: "int32",
        4: "uint8",
        5: "int16",
        6: "int8",
        8: "complex64",
        9: "int64",
        10: "bool",
        17: "uint16",
        18: "complex128",
        19: "float16",
        22: "uint32",
        23: "uint64",
    }
)

# number -> TensorFlow's name, as `tf.dtypes.as_dtype(number).name` has it.
_NAMES: Mapping[int, str] = MappingProxyType(
    {
        **NUMPY_NAMES,
        STRING: "string",
        RESOURCE: "resource",
        VARIANT: "variant",
        14: "bfloat16",
        11: "qint8",
        12: "quint8",
        13: "qint32",
        15: "qint16",
        16: "quint16",
        24: "float8_e5m2",
        25: "float8_e4m3fn",
        26: "float8_e4m3fnuz",
        27: "float8_e4m3b11fnuz",
        28: "float8_e5m2fnuz",
        29: "int4",
        30: "uint4",
        31: "int2",
        32: "uint2",
        33: "float4_e2m1fn",
    }
)
_FIRST_REF = 100  # the types of old-style (ref) variables: DT_FLOAT_REF is 101

# The types of less than 8 bits (int4, uint4, int2, uint2, float4) take a byte an element, in memory and in files.
ITEM_BYTES: Mapping[int, int] = MappingProxyType(
    {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 17: 2, 18: 16, 19: 2, 22: 4, 23: 8}
    | {11: 1, 12: 1, 13: 4, 15: 2, 16: 2}  # qint8, quint8, qint32, qint16, quint16
    | {14: 2}  # bfloat16
    | dict.fromkeys(range(24, 34), 1)  # the float8 types, then those of less than 8 bits
)

_MOST_DIMENSIONS = 254  # of a TensorFlow shape
_MOST_ELEMENTS = 2**63 - 1


def dtype_name(number: int) -> str:
    """Return TensorFlow's name of a type; "unknown (99)" for a number that this version does not know.

    Example:
      >>> dtype_name(1), dtype_name(107)
      ('float32', 'string_ref')
    """
    if number in _NAMES:
        return _NAMES[number]
    if number - _FIRST_REF in _NAMES:
        return f"{_NAMES[number - _FIRST_REF]}_ref"
    return f"unknown ({number})"


def element_count(shape: tuple[int, ...]) -> int:
    """Return the number of elements of a shape.

    Raises:
      ValueError: a dimension is negative, or the shape is beyond what a tensor can have.

    Example:
      >>> element_count((2, 3))
      6
    """
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a shape of {len(shape)} dimensions; at most {_MOST_DIMENSIONS} are possible")
    count = 1
    for size in shape:
        if size < 0:
            raise ValueError(f"a negative dimension in the shape {list(shape)}")
        # Before the zeros are multiplied in: TensorFlow, too, refuses [2**62, 2**62, 0].
        count *= size or 1
    if count > _MOST_ELEMENTS:
        raise ValueError(f"more than 2**63 - 1 elements in the shape {list(shape)}")
    return 0 if 0 in shape else count
