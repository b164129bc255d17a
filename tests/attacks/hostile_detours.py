"""Hostile modules that lead the search for what runs an op, and for where its paths come from, astray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

import modhub as hub
from tests.attacks.hostile_modules import after, edit, hostile, save_v1, v1, write, x
from tests.attacks.hostile_reads import adding

raw = tf.raw_ops


def named(meta_graph: Any, part: str) -> str:
    """Return the name of the function in which a part is."""
    return next(
        each.signature.name for each in meta_graph.graph_def.library.function if f"_{part}_" in each.signature.name
    )


def counted(filename: tf.Tensor) -> tf.Tensor:
    """Return the sum of a dataset that is kept in a file, or in none if its name is empty."""
    data = raw.RangeDataset(start=0, stop=3, step=1, output_types=[tf.int64], output_shapes=[[]])
    data = raw.CacheDataset(input_dataset=data, filename=filename, output_types=[tf.int64], output_shapes=[[]])
    return raw.ReduceDataset(
        input_dataset=data, initial_state=[tf.constant(0, tf.int64)], other_arguments=[], f=adding(),
        output_types=[tf.int64], output_shapes=[[]],
    )[0]  # fmt: skip


@hostile("signature")
def constant_that_a_function_takes_from_its_caller(directory: Path, trace: Path) -> None:
    """The constant's value is a placeholder for the caller's attribute; another attribute of it has a harmless one."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.name == "file":
                    function.signature.attr.add(name="target", type="tensor")
                    node.attr["_decoy"].CopyFrom(node.attr["value"])
                    node.attr["value"].placeholder = "target"
        name = named(meta_graph, "evil")
        for node in meta_graph.graph_def.node:
            if node.attr["f"].func.name == name:
                node.attr["f"].func.attr["target"].tensor.CopyFrom(tf.make_tensor_proto(str(trace)))

    @tf.function(autograph=False)
    def evil(value: tf.Tensor) -> tf.Tensor:
        return value + tf.cast(counted(tf.constant("", name="file")), tf.float32)

    save_v1(directory, lambda: evil(x()))
    edit(directory, change)


@hostile("signature")
def path_that_a_gradient_is_passed(directory: Path, trace: Path) -> None:
    """The function is called on a harmless path where it is seen, and on another one as a gradient."""

    def change(meta_graph: Any) -> None:
        library = meta_graph.graph_def.library
        library.gradient.add(function_name=named(meta_graph, "honest"), gradient_func=named(meta_graph, "evil"))
        for node in meta_graph.graph_def.node:
            if node.name == "taken":
                node.op, node.input[:] = "SymbolicGradient", ["path", "x"]
                node.attr.clear()
                node.attr["Tin"].list.type.extend([7, 1])
                node.attr["Tout"].list.type.append(1)
                node.attr["f"].func.name = named(meta_graph, "honest")

    @tf.function(autograph=False)
    def evil(path: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return upstream + tf.cast(counted(path), tf.float32)

    @tf.function(autograph=False)
    def honest(path: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.strings.length(path), tf.float32)

    def make() -> tf.Tensor:
        tf.constant(str(trace), name="path")
        tf.identity(evil(tf.constant(""), x()) + honest(tf.constant("")), name="unused")
        return tf.identity(x(), name="taken")

    save_v1(directory, make)
    edit(directory, change)


@hostile()
def path_that_the_function_in_its_place_is_passed(directory: Path, trace: Path) -> None:
    """Grappler may call it for another one, on that one's path."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            if "_evil_" in function.signature.name or "_honest_" in function.signature.name:
                function.attr["api_implements"].s = b"the same"

    @tf.function(autograph=False)
    def evil(path: tf.Tensor) -> tf.Tensor:
        return tf.cast(counted(path), tf.float32)

    @tf.function(autograph=False)
    def honest(path: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.strings.length(path), tf.float32)

    save_v1(directory, lambda: evil(tf.constant("")) + honest(tf.constant(str(trace))))
    edit(directory, change)


@hostile()
def path_in_the_checkpoint(directory: Path, trace: Path) -> None:
    """The variable's initializer assigns it an asset; what is restored is something else."""
    words = trace.parent / "words.txt"
    words.write_text("a\n")

    def module_fn() -> None:
        asset = tf.constant(str(words), name="words")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        path = v1.get_variable("path", initializer=asset, use_resource=True, trainable=False)
        hub.add_signature(outputs=tf.io.read_file(path.read_value()))

    hub.create_module_spec(module_fn).export(str(directory))


@hostile("signature")
def path_in_a_variable_of_many_handles(directory: Path, trace: Path) -> None:
    """One op makes the handles of several variables."""

    def change(meta_graph: Any) -> None:
        for node in meta_graph.graph_def.node:
            if node.name == "other":
                node.op = "_VarHandlesOp"
                node.attr.clear()
                node.attr["containers"].list.s.append(b"")
                node.attr["shared_names"].list.s.append(b"path")
                node.attr["N"].i = 1
                node.attr["dtypes"].list.type.append(7)
                node.attr["shapes"].list.shape.add()

    def make() -> tf.Tensor:
        one = raw.VarHandleOp(dtype=tf.string, shape=[], shared_name="path")
        other = raw.VarHandleOp(dtype=tf.string, shape=[], shared_name="path", name="other")
        first = raw.AssignVariableOp(resource=one, value="")
        with tf.control_dependencies([first]):
            second = raw.AssignVariableOp(resource=other, value=str(trace))
        with tf.control_dependencies([second]):
            return tf.cast(counted(raw.ReadVariableOp(resource=one, dtype=tf.string)), tf.float32)

    save_v1(directory, make)
    edit(directory, change)


def _save_elsewhere(directory: Path, pieces: list[str], separator: str) -> None:
    """The saver's own SaveV2 writes to the joined pieces, of which the first is the saver's path."""

    def change(meta_graph: Any) -> None:
        name = meta_graph.saver_def.filename_tensor_name
        for node in meta_graph.graph_def.node:
            if node.name == "evil_name":
                node.input[0] = name.removesuffix(":0")
        for node in meta_graph.graph_def.node:
            if node.op == "SaveV2":
                node.input[0] = "evil_name"

    def make() -> None:
        v1.get_variable("w", [])
        tf.strings.join(["", *pieces], separator=separator, name="evil_name")

    save_v1(directory, make)
    edit(directory, change)


@hostile()
def saver_that_leaves_by_a_separator(directory: Path, trace: Path) -> None:
    _save_elsewhere(directory, ["evil"], "/../../")


@hostile()
def saver_that_leaves_by_two_dots_in_two_pieces(directory: Path, trace: Path) -> None:
    _save_elsewhere(directory, ["/.", "./evil"], "")


@hostile()
def two_assets_of_one_tensor(directory: Path, trace: Path) -> None:
    """An object of TF2 names its asset by its place in the list."""

    def change(meta_graph: Any) -> None:
        good = meta_graph.asset_file_def[0]
        meta_graph.asset_file_def.add().CopyFrom(good)
        good.filename = "../../words.txt"

    reading_an_asset(directory, trace)
    edit(directory, change)


def reading_an_asset(directory: Path, trace: Path) -> None:
    """Write a SavedModel of TF2 that does what it may."""
    words = trace.parent / "words.txt"
    words.write_text("a\n")
    module = tf.Module()
    module.words = tf.saved_model.Asset(str(words))
    module.f = tf.function(lambda: tf.io.read_file(module.words), input_signature=[])
    tf.saved_model.save(module, str(directory))


@hostile()
def asset_of_the_collection_alone(directory: Path, trace: Path) -> None:
    """TF1's loader reads the collection only if the list is empty: it leaves the path as it is stored."""
    words = trace.parent / "words.txt"
    words.write_text("a\n")

    def make() -> tf.Tensor:
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(words), name="words"))
        tf.constant("/etc/passwd", name="other")
        return tf.io.read_file(v1.get_default_graph().get_tensor_by_name("words:0"))

    def change(meta_graph: Any) -> None:
        meta_graph.asset_file_def.add(filename="words.txt").tensor_info.name = "other:0"

    save_v1(directory, make, after=lambda: {"assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)})
    edit(directory, change)


@hostile()
def asset_that_is_made_by_a_registered_class(directory: Path, trace: Path) -> None:
    """The class of TrackableConstant makes of it the value of a node, of whatever kind the object is."""

    def change(meta_graph: Any) -> None:
        for each in meta_graph.object_graph_def.nodes:
            if each.WhichOneof("kind") == "asset":
                each.registered_name = "tf.TrackableConstant"
        evil = meta_graph.graph_def.node.add(op="Const")
        evil.attr["dtype"].type = tf.string.as_datatype_enum
        evil.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/passwd"))

    reading_an_asset(directory, trace)
    edit(directory, change)


@hostile()
def path_that_restoring_passes(directory: Path, trace: Path) -> None:
    """Loading calls the restore function of an object on what the checkpoint has, not on what a caller passes."""

    def change(meta_graph: Any) -> None:
        nodes = meta_graph.object_graph_def.nodes
        (function,) = (index for index, each in enumerate(nodes) if each.WhichOneof("kind") == "function")
        nodes[0].saveable_objects["path"].restore_function = function

    module = tf.Module()
    module.f = tf.function(tf.io.read_file, input_signature=[tf.TensorSpec([], tf.string)])
    tf.saved_model.save(module, str(directory))
    edit(directory, change)


@hostile("load2")
def initializer_of_a_local_variable(directory: Path, trace: Path) -> None:
    def make() -> None:
        v1.get_variable(
            "w", initializer=lambda *_, **__: after(write(trace)), shape=[], collections=[v1.GraphKeys.LOCAL_VARIABLES]
        )

    save_v1(directory, make)


@hostile()
def checkpoint_that_a_local_variable_reads(directory: Path, trace: Path) -> None:
    def make() -> None:
        (value,) = raw.RestoreV2(prefix=str(trace), tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])
        value.set_shape([])
        v1.get_variable("w", initializer=value, collections=[v1.GraphKeys.LOCAL_VARIABLES])

    save_v1(directory, make)


@hostile()
def cache_file_that_a_signature_has_by_default(directory: Path, trace: Path) -> None:
    """The placeholder itself has another default, with which there is no file."""

    def change(meta_graph: Any) -> None:
        signature = meta_graph.signature_def["serving_default"]
        signature.inputs["path"].name = "path:0"
        signature.defaults["path"].CopyFrom(tf.make_tensor_proto(str(trace)))

    save_v1(directory, lambda: counted(v1.placeholder_with_default("", [], name="path")))
    edit(directory, change)
