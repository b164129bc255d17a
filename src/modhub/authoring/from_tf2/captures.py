"""What functions of TF2 capture: variables, tables, the paths of assets; and what a module calls them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from modhub.authoring.from_tf2.keras_models import is_keras

__all__ = ["Captures", "NamedVariable", "find_captures"]

_ILLEGAL = re.compile(r"[^A-Za-z0-9_.\\/>-]")
_UNNAMED = re.compile(r"(Variable)?(_\d+)?")
# Keras calls the state of every keras.random.SeedGenerator so; they are not in the object's graph of attributes.
_SEED = "seed_generator_state"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedVariable:
    """A variable, and its name in the module."""

    name: str
    variable: tf.Variable
    trainable: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Captures:
    """What can be captured, by the `id` of the eager tensor that stands for it in a function.

    Attributes:
      variables: by their handles.
      tables: their names and the tables, by their handles.
      assets: the paths of files.
      owners: keeps what the ids are of.
    """

    variables: Mapping[int, NamedVariable]
    tables: Mapping[int, tuple[str, Any]]
    assets: Mapping[int, str]
    owners: tuple[Any, ...]

    def seeds(self) -> dict[int, tf.Variable]:
        """Return the variables that hold seeds of Keras, by the `id` of their handles."""
        return {
            key: named.variable
            for key, named in self.variables.items()
            if named.name.rpartition("/")[2].startswith(_SEED) and named.variable.dtype.is_integer
        }


def find_captures(obj: Any, concretes: Iterable[Any]) -> Captures:
    """Find what functions may have captured.

    Args:
      obj: the object that they belong to; what hangs on it is found.
      concretes: ConcreteFunctions, whose variables are found even where they hang on nothing.
    """
    variables: dict[int, tuple[str, tf.Variable]] = {}
    tables: dict[int, tuple[str, Any]] = {}
    assets: dict[int, str] = {}
    owners: list[Any] = []
    taken: set[str] = set()
    for path, item in _walk(obj):
        if isinstance(item, tf.Variable):
            variables.setdefault(id(item.handle), (path, item))
        elif isinstance(item, tf.saved_model.experimental.TrackableResource):
            tables[id(item.resource_handle)] = (_unique(_legal(path), taken), item)
        elif isinstance(item, tf.saved_model.Asset):
            assets[id(item.asset_path)] = item.asset_path.numpy().decode()
        owners.append(item)
    for concrete in concretes:
        for variable in sorted(concrete.variables, key=lambda each: str(each.name)):
            variables.setdefault(id(variable.handle), ("", variable))
    return Captures(variables=_named(obj, variables), tables=tables, assets=assets, owners=tuple(owners))


def _walk(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield what hangs on an object, breadth first, with its path ("layers/0/kernel")."""
    pending: list[tuple[str, Any]] = [("", obj)] if isinstance(obj, tf.__internal__.tracking.Trackable) else []
    seen = {id(obj)}
    for path, item in pending:
        yield path, item
        for name, child in tf.train.TrackableView.children(item).items():
            if id(child) not in seen:
                seen.add(id(child))
                # A layer has a name in its model, and hangs on private attributes of it.
                pending.append((child.name if is_keras(child) else f"{path}/{name}".lstrip("/"), child))


def _named(obj: Any, found: Mapping[int, tuple[str, tf.Variable]]) -> dict[int, NamedVariable]:
    """Name variables as they are called, or by their paths where that tells them apart."""
    own = {key: str(variable.name).partition(":")[0] for key, (_, variable) in found.items()}
    root = f"{getattr(obj, 'name', None)}/"
    if own and all(name.startswith(root) for name in own.values() if _SEED not in name):
        own = {key: name.removeprefix(root) for key, name in own.items()}
    all_names = list(own.values())
    # Where an object says what is trained, as a frozen Keras layer does, it knows better than the variable.
    trained = getattr(obj, "trainable_variables", None)
    handles = None if trained is None else {id(_variable(each).handle) for each in trained}
    owned = {id(_variable(each).handle) for each in getattr(obj, "variables", ())}
    taken: set[str] = set()
    named = {}
    for key, (path, variable) in found.items():
        name = own[key]
        if path and (_UNNAMED.fullmatch(name) or all_names.count(name) > 1):
            name = path
        name = _unique(_legal(name), taken)
        known = handles is not None and key in owned
        trainable = key in (handles or ()) if known else bool(variable.trainable)
        named[key] = NamedVariable(name=name, variable=variable, trainable=trainable)
    return named


def _variable(variable: Any) -> tf.Variable:
    """Return the variable of TensorFlow that a variable of Keras 3 stands for."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _legal(name: str) -> str:
    legal = _ILLEGAL.sub("_", name).strip("/")
    return legal if legal[:1].isalnum() or legal.startswith(".") else f"v{legal}"


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that is not taken; TensorFlow tells names apart without regard to case."""
    number, new = 0, name
    while new.lower() in taken:
        number += 1
        new = f"{name}_{number}"
    taken.add(new.lower())
    return new
