"""restore_numpy_names: names of NumPy that scripts of 2018 use, and that NumPy 1.24 and 2.0 took away."""

from __future__ import annotations

__all__ = ["restore_numpy_names"]

_PYTHONS = {
    "bool": bool,
    "complex": complex,
    "float": float,
    "int": int,
    "long": int,
    "object": object,
    "str": str,
    "unicode": str,
}
_RENAMED = {
    "Inf": "inf",
    "NaN": "nan",
    "alltrue": "all",
    "complex_": "complex128",
    "cumproduct": "cumprod",
    "float_": "float64",
    "product": "prod",
    "sometrue": "any",
    "string_": "bytes_",
    "unicode_": "str_",
}


def restore_numpy_names() -> None:
    """Give NumPy, in the whole process, names such as `np.int` and `np.float_` with the meaning that they had.

    Those that NumPy has, and be it with another meaning (`np.bool`, `np.long`), stay as they are. A number in a list or
    dictionary is printed as it was, too: `[0.5]`, and not `[np.float32(0.5)]`.
    """
    import numpy as np

    if int(np.__version__.partition(".")[0]) >= 2:
        np.set_printoptions(legacy="1.25")
    for name, value in {**_PYTHONS, **{old: getattr(np, new) for old, new in _RENAMED.items()}}.items():
        if name not in vars(np):  # hasattr() would warn of some
            setattr(np, name, value)
