"""The state of a module under eager execution: variables, tables and assets that functions capture.

All variants of a module share it. Weights are read by one `RestoreV2`; variables are made under the distribution
strategy whose scope the caller is in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.description import ModuleDescription, Variant
from modhub.core.graph import VariantGraph, index_variant
from modhub.core.part import ancestors
from modhub.core.resources import Resource, fill_all, table_initializers
from modhub.core.state import check_entry
from modhub.core.tensorflow_errors import blame_module
from modhub.core.variables import ModuleVariable, variable_names
from modhub.format import ASSETS, Bundle
from modhub.format.names import node_of, split_input

__all__ = ["EagerState", "Identity", "VariableMaker", "create_eager_state", "make_variable"]

# What is one variable in all variants: its key in the checkpoint, and of a partition its extent.
Identity = tuple[str, tuple[tuple[int, int], ...] | None]
# (what the variant says of it, its value, options of tf.Variable) -> the variable
VariableMaker = Callable[[ModuleVariable, tf.Tensor, dict[str, Any]], tf.Variable]

_READS = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VarIsInitializedOp"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EagerState:
    """A module's state.

    It is no `tf.Module` on purpose: what holds plans and protos must not be tracked when a model is saved.

    Attributes:
      description: the module.
      variables: what a variant says of each variable, and the variable; parts of a partitioned one are apart.
      trainable: the variables that the publisher made trainable.
      assigned: the variables that update ops change, under a distribution strategy.
      resources: tables, and whatever else lives on beside variables.
      assets: by file name.
      sources: for each variant's tags, what stands for each node of its state.
      strategy: the distribution strategy that the variables were made under.
      distributed: whether it is one, and not the default.
      memo: functions, and what else is made once.
    """

    description: ModuleDescription
    variables: Mapping[Identity, tuple[ModuleVariable, tf.Variable]]
    trainable: frozenset[Identity]
    assigned: frozenset[Identity]
    resources: tuple[tf.saved_model.experimental.TrackableResource, ...]
    assets: Mapping[str, tf.saved_model.Asset]
    sources: Mapping[frozenset[str], Mapping[str, Any]]
    strategy: tf.distribute.Strategy
    distributed: bool
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

    def variable_map(self) -> dict[str, Any]:
        """Return the variables by the name that they have in a checkpoint; a partitioned one as a list of parts."""
        found: dict[str, Any] = {}
        for (key, extent), (_, variable) in sorted(
            self.variables.items(), key=lambda item: (item[0][0], item[0][1] or ())
        ):
            if extent is None:
                found[key] = variable
            else:
                found.setdefault(key, []).append(variable)
        return found


def make_variable(described: ModuleVariable, value: tf.Tensor, options: dict[str, Any]) -> tf.Variable:
    """Make a `tf.Variable` of a value."""
    # A static shape that is not known in full is one that may change.
    shape = None if described.own_shape.is_fully_defined() else described.own_shape
    if tf.distribute.has_strategy():
        return tf.Variable(value, name=described.name, shape=shape, **options)
    return _tensorflow.named_variable(value, described.name, shape=shape, **options)


def create_eager_state(
    module: ModuleDescription,
    *,
    is_trainable: Callable[[str], bool],
    make: VariableMaker = make_variable,
) -> EagerState:
    """Create the state of all variants of a module.

    Args:
      module: where the weights and assets come from.
      is_trainable: tells for the name of a variable that the publisher made trainable whether it shall be.
      make: makes a variable.

    Raises:
      CorruptModuleError: the graph contradicts itself or the checkpoint.
      UnknownOpError: the state needs an op that this TensorFlow does not know.
    """
    with blame_module(f"the state of {next(iter(module)).where}"):
        described, trained, assigned = _describe(module)
        values = _restore(described, module.weights)
        variables = {}
        for identity, variable in described.items():
            options: dict[str, Any] = {"trainable": identity in trained and is_trainable(variable.key)}
            if identity in assigned and not options["trainable"]:
                # Each replica moves its own statistics; what they are together is asked for seldom.
                options["synchronization"] = tf.VariableSynchronization.ON_READ
                options["aggregation"] = (
                    tf.VariableAggregation.MEAN
                    if variable.dtype.is_floating
                    else tf.VariableAggregation.ONLY_FIRST_REPLICA
                )
            elif options["trainable"]:
                options["aggregation"] = tf.VariableAggregation.MEAN
            # Popped, so that a value is in memory once.
            variables[identity] = (variable, make(variable, values.pop(identity), options))
        assets: dict[str, tf.saved_model.Asset] = {}
        resources: dict[bytes, Resource] = {}
        sources = {variant.tags: _sources(module, variant, variables, assets, resources) for variant in module}
        fill_all(resources.values())
    return EagerState(
        description=module,
        variables=variables,
        trainable=frozenset(trained),
        assigned=frozenset(assigned),
        resources=tuple(resources.values()),
        assets=assets,
        sources=sources,
        strategy=tf.distribute.get_strategy(),
        distributed=tf.distribute.has_strategy(),
    )


def _identity(variable: ModuleVariable) -> Identity:
    return variable.key, variable.extent


def _describe(module: ModuleDescription) -> tuple[dict[Identity, ModuleVariable], set[Identity], set[Identity]]:
    """Return the variables of all variants, which of them a publisher made trainable, and which update ops change."""
    found: dict[Identity, ModuleVariable] = {}
    trained: set[Identity] = set()
    assigned: set[Identity] = set()
    for variant in module:
        index = index_variant(variant)
        # Which variables these are matters only where each replica has its own.
        changed = _assigned(variant, index) if tf.distribute.has_strategy() else set()
        trainable = set(variable_names(variant, tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES))
        for name, variable in index.variables.items():
            identity = _identity(variable)
            other = found.setdefault(identity, variable)
            if other.dtype != variable.dtype or not other.shape.is_compatible_with(variable.shape):
                raise errors.CorruptModuleError(
                    f"The variable {name!r} has shape {variable.shape} and dtype {variable.dtype.name} in "
                    f"{variant.where}, and shape {other.shape} and dtype {other.dtype.name} in another one."
                )
            if name in trainable:
                trained.add(identity)
            if name in changed:
                assigned.add(identity)
    return found, trained, assigned


def _assigned(variant: Variant, index: VariantGraph) -> set[str]:
    """Return the names of the nodes of state that update ops write to."""
    updates = [node_of(name) for name in variant.collection("update_ops")]
    found: set[str] = set()
    for name in ancestors(index, updates, set(), index.state) if updates else ():
        node = index.nodes[name]
        if node.op not in _READS and _tensorflow.is_stateful(node.op):
            found.update(source for given in node.input if (source := split_input(given)[0]) in index.state)
    return found


def _restore(described: Mapping[Identity, ModuleVariable], weights: Bundle | None) -> dict[Identity, tf.Tensor]:
    if not described:
        return {}
    if weights is None:
        raise errors.GraphError("The module has no values yet: publish it with export() first.")
    for variable in described.values():
        check_entry(variable, weights)
    with tf.device("/device:CPU:0"):
        values = tf.raw_ops.RestoreV2(
            prefix=str(weights.prefix),
            tensor_names=[variable.key for variable in described.values()],
            shape_and_slices=[variable.slice_spec for variable in described.values()],
            dtypes=[variable.dtype for variable in described.values()],
        )
    return dict(zip(described, values, strict=True))


def _sources(
    module: ModuleDescription,
    variant: Variant,
    variables: Mapping[Identity, tuple[ModuleVariable, tf.Variable]],
    assets: dict[str, tf.saved_model.Asset],
    resources: dict[bytes, Resource],
) -> dict[str, Any]:
    """Return what stands for each node of a variant's state; make assets and resources that are not there yet."""
    index = index_variant(variant)
    files = {node_of(tensor): name for tensor, name in variant.assets().items()}
    found: dict[str, Any] = {}
    for name in sorted(index.state):
        if name in index.variables:
            _, found[name] = variables[_identity(index.variables[name])]
        elif name in files and module.directory is not None:
            if files[name] not in assets:
                assets[files[name]] = tf.saved_model.Asset(str(module.directory / ASSETS / files[name]))
            found[name] = assets[files[name]]
    initializers = table_initializers(variant, index)
    for name in sorted(index.state - found.keys()):
        node = index.nodes[name]
        # What is equal in two variants is one and the same, as a variable is.
        key = node.SerializeToString(deterministic=True)
        if key not in resources:
            resources[key] = Resource(index, node, initializers.get(name, ()), found)
        found[name] = resources[key]
    return found
