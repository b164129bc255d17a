"""The raw limit of loading a module under eager execution: a graph that was pruned ahead, and TensorFlow alone.

    python benchmarks/tf2_limit.py MODULE FILE          prunes the default signature ahead, once

One RestoreV2, a `tf.Variable` for each value, and one `wrap_function` of a GraphDef that holds only what the default
signature needs: no reading of `saved_model.pb`, no checks, no signatures, nothing to export.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from floor import read_parts

__all__ = ["Limit", "prepare"]


def prepare(tf: Any, module: Path, file: Path) -> None:
    """Write what `Limit` reads: two GraphDefs, and what is connected to them."""
    parts = read_parts(tf, module)
    handles = [node for node in parts.state.node if node.op == "VarHandleOp"]
    names = {node.name for node in handles}
    tables = type(parts.state)(versions=parts.state.versions)
    tables.node.extend(node for node in parts.state.node if node.name not in names)
    body = {node.name for node in parts.body.node}
    used = {name.partition(":")[0] for node in parts.body.node for name in node.input if name[0] != "^"} - body
    (info,) = parts.signature.inputs.values()  # the benchmarks' modules have one
    facts = {
        "input": info.name,
        "dtype": info.dtype,
        "shape": None if info.tensor_shape.unknown_rank else [max(d.size, 1) for d in info.tensor_shape.dim],
        "output": parts.signature.outputs["default"].name,
        "variables": {node.name: node.attr["dtype"].type for node in handles if node.name in used},
        "trainable": sorted(parts.trainable & used),
        "resources": sorted(used - names - {info.name.partition(":")[0]}),
        "initializers": parts.initializers,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".tables").write_bytes(tables.SerializeToString())
    file.with_suffix(".body").write_bytes(parts.body.SerializeToString())
    file.write_text(json.dumps(facts))  # last: where it is, the others are whole


class Limit:
    """The default signature of a module whose graph was prepared in `file`."""

    def __init__(self, tf: Any, module: Path, file: Path) -> None:
        self._tf = tf
        self._file = file
        self._facts = json.loads(file.read_text())
        variables = self._facts["variables"]
        values = tf.raw_ops.RestoreV2(
            prefix=str(module / "variables" / "variables"),
            tensor_names=list(variables),
            shape_and_slices=[""] * len(variables),
            dtypes=list(variables.values()),
        )
        self.variables = {name: tf.Variable(value) for name, value in zip(variables, values, strict=True)}
        self.trainable_variables = [self.variables[name] for name in self._facts["trainable"]]
        self._tables = self._create_tables()

    def _create_tables(self) -> dict[str, Any]:
        tf, facts = self._tf, self._facts
        if not facts["resources"]:
            return {}
        graph_def = tf.compat.v1.GraphDef.FromString(self._file.with_suffix(".tables").read_bytes())

        def create() -> list[Any]:
            wanted = [f"{name}:0" for name in facts["resources"]] + facts["initializers"]
            found = tf.import_graph_def(graph_def, name="", return_elements=wanted)
            count = len(facts["resources"])
            with tf.control_dependencies(found[count:]):
                return [tf.identity(handle) for handle in found[:count]]

        return dict(zip(facts["resources"], tf.compat.v1.wrap_function(create, [])(), strict=True))

    def function(self) -> Any:
        """Return the signature as a ConcreteFunction from the input to the output."""
        tf, facts = self._tf, self._facts
        graph_def = tf.compat.v1.GraphDef.FromString(self._file.with_suffix(".body").read_bytes())
        present = {name for node in graph_def.node for name in node.input if name[0] != "^"}

        def body(value: Any) -> Any:
            graph = tf.compat.v1.get_default_graph()
            held = {facts["input"].partition(":")[0]: value}
            for name, variable in self.variables.items():
                graph.watch_variable(variable)
                held[name] = graph.capture(variable.handle)
            held.update({name: graph.capture(handle) for name, handle in self._tables.items()})
            mapped = {name: held[name.partition(":")[0]] for name in present if name.partition(":")[0] in held}
            return tf.import_graph_def(graph_def, mapped, return_elements=[facts["output"]], name="")[0]

        return tf.compat.v1.wrap_function(body, [tf.TensorSpec(None, tf.dtypes.as_dtype(facts["dtype"]))])


if __name__ == "__main__":
    import tensorflow as tf

    prepare(tf, Path(sys.argv[1]), Path(sys.argv[2]))
