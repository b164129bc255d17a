"""HParams: named hyperparameters of fixed types, which a text can set, such as `--hparams=rate=0.1,layers=[8,4]`."""

from __future__ import annotations

import json
import numbers
import re
from collections.abc import Mapping
from typing import Any

from modhub import errors

__all__ = ["HParams"]

# name=value, name=[value, ...] or name[index]=value, and what parts it from the next.
_ITEM = re.compile(
    r"\s*(?P<name>[a-zA-Z][\w.]*)(?:\[(?P<index>\d+)\])?\s*=\s*(?:\[(?P<list>[^\]]*)\]|(?P<value>[^,\[]*?))\s*(?:,|$)"
)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class HParams:
    """Hyperparameters, each an attribute.

    Example:
      >>> hparams = HParams(rate=0.5, layers=[8, 4], name="net")
      >>> hparams.parse("rate=1e-3,layers[1]=2").rate
      0.001
      >>> hparams.values()
      {'layers': [8, 2], 'name': 'net', 'rate': 0.001}
    """

    def __init__(self, hparam_def: Any = None, model_structure: Any = None, **kwargs: Any) -> None:
        """Make some.

        Args:
          hparam_def: a HParamDef proto, which is refused.
          model_structure: kept for `get_model_structure`.
          **kwargs: the names and first values; those of a list say what it may hold.
        """
        if hparam_def is not None:
            raise errors.NotCoveredError("HParams(hparam_def) is not there under `modhub run`: give names and values.")
        self._types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """Add a hyperparameter.

        Raises:
          InvalidArgumentError: there is one, or an attribute, of this name; or the value is an empty list.
        """
        if getattr(self, name, None) is not None:
            raise errors.InvalidArgumentError(f"There is a hyperparameter or attribute {name!r} of HParams already.")
        several = isinstance(value, list | tuple)
        if several and not value:
            raise errors.InvalidArgumentError(f"The list {name!r} is empty, so that nothing says what it may hold.")
        self._types[name] = (type(value[0] if several else value), several)
        setattr(self, name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        """Set a hyperparameter, to a value of its type.

        Raises:
          InvalidArgumentError: there is none of this name, or the value is of another type.
        """
        kind, several = self._type_of(name)
        if several != isinstance(value, list | tuple):
            raise errors.InvalidArgumentError(f"{name!r} is {'a list' if several else 'no list'}, unlike {value!r}.")
        setattr(self, name, [_cast(name, kind, one) for one in value] if several else _cast(name, kind, value))

    def del_hparam(self, name: str) -> None:
        """Remove a hyperparameter, if there is one of this name."""
        if self._types.pop(name, None) is not None:
            delattr(self, name)

    def parse(self, values: str) -> HParams:
        """Set hyperparameters from a text such as "rate=0.1,layers=[8,4],layers[0]=2,name=net".

        Returns:
          These hyperparameters.

        Raises:
          InvalidArgumentError: it is no such text, names one that is not there, or has a value of another type.
        """
        place = 0
        while place < len(values):
            found = _ITEM.match(values, place)
            if found is None:
                raise errors.InvalidArgumentError(
                    f"{values[place:]!r} cannot be parsed, in hyperparameters {values!r}. They are given as "
                    "name=value, name=[value,value] or name[index]=value, separated by commas."
                )
            self._set_from(found)
            place = found.end()
        return self

    def override_from_dict(self, values_dict: Mapping[str, Any]) -> HParams:
        """Set hyperparameters that are there from a mapping, and return them all."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def parse_json(self, values_json: str) -> HParams:
        """Set hyperparameters that are there from a JSON object, and return them all."""
        return self.override_from_dict(json.loads(values_json))

    def to_json(
        self, indent: int | None = None, separators: tuple[str, str] | None = None, sort_keys: bool = False
    ) -> str:
        """Return all as a JSON object; functions are left out."""
        values = {name: value for name, value in self.values().items() if not callable(value)}
        return json.dumps(values, indent=indent, separators=separators, sort_keys=sort_keys)

    def values(self) -> dict[str, Any]:
        """Return all, by name."""
        return {name: getattr(self, name) for name in sorted(self._types)}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a hyperparameter, or the default where there is none of this name."""
        return getattr(self, key) if key in self._types else default

    def get_model_structure(self) -> Any:
        """Return the model_structure that was given."""
        return self._model_structure

    def set_model_structure(self, model_structure: Any) -> None:
        """Replace the model_structure."""
        self._model_structure = model_structure

    def __contains__(self, key: str) -> bool:
        return key in self._types

    def __str__(self) -> str:
        return str(sorted(self.values().items()))

    def __repr__(self) -> str:
        return f"HParams({self})"

    def _type_of(self, name: str) -> tuple[type, bool]:
        if name not in self._types:
            raise errors.InvalidArgumentError(
                f"There is no hyperparameter {name!r}. {errors.accepted(name, self._types, 'hyperparameters')}"
            )
        return self._types[name]

    def _set_from(self, found: re.Match[str]) -> None:
        name, index, items, value = found["name"], found["index"], found["list"], found["value"]
        kind, several = self._type_of(name)
        if index is not None:
            old = list(getattr(self, name)) if several else []
            if items is not None or int(index) >= len(old):
                raise errors.InvalidArgumentError(f"{found[0]!r} does not name an element of {name!r}, {old!r}.")
            old[int(index)] = _cast(name, kind, value)
            setattr(self, name, old)
        elif items is not None:
            self.set_hparam(name, [one.strip() for one in items.split(",")] if items.strip() else [])
        else:
            self.set_hparam(name, [value] if several else value)


def _cast(name: str, kind: type, value: Any) -> Any:
    """Return a value, or its text, as one of a type; nothing is rounded, and no number becomes a text."""
    if value is None or kind is type(None) or type(value) is kind:
        return value
    text, number = isinstance(value, str), isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        if kind is bool and (text or number):
            return _BOOLEANS[str(value).strip().lower()]
        if kind in (int, float) and text:
            return kind(value)
        if (kind is float and number) or (kind is int and isinstance(value, numbers.Integral) and number):
            return kind(value)
    except (KeyError, ValueError):
        pass
    if isinstance(value, kind) and kind not in (bool, int, float):
        return value
    raise errors.InvalidArgumentError(f"Hyperparameter {name!r} holds {kind.__name__}, and {value!r} is none.")
