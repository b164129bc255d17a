"""Hostile modules that read files which are none of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.attacks.hostile_modules import edit, hostile, save_v1, v1
from tests.constructions import loops_of_v1

raw = tf.raw_ops


@hostile()
def read_file(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.io.read_file("/etc/passwd"))


@hostile()
def read_file_of_a_computed_name(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.io.read_file(tf.strings.join(["/etc", "/passwd"])))


@hostile()
def read_file_through_identities(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        name = tf.constant("/etc/passwd")
        for _ in range(50):
            name = tf.identity(name)
        return tf.io.read_file(tf.reshape(name, []))

    save_v1(directory, make)


@hostile("signature")
def cache_file_by_the_second_output_of_identity_n(directory: Path, trace: Path) -> None:
    """The first output is "", with which CacheDataset uses no file."""

    def make() -> tf.Tensor:
        _, second = tf.identity_n([tf.constant(""), tf.constant(str(trace))])
        data = raw.RangeDataset(start=0, stop=3, step=1, output_types=[tf.int64], output_shapes=[[]])
        data = raw.CacheDataset(input_dataset=data, filename=second, output_types=[tf.int64], output_shapes=[[]])
        return raw.ReduceDataset(
            input_dataset=data, initial_state=[tf.constant(0, tf.int64)], other_arguments=[], f=adding(),
            output_types=[tf.int64], output_shapes=[[]],
        )[0]  # fmt: skip

    save_v1(directory, make)


def adding() -> Any:
    return tf.function(lambda a, b: a + b).get_concrete_function(*[tf.TensorSpec([], tf.int64)] * 2)


@hostile()
def read_file_in_a_v1_loop(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        with loops_of_v1():
            name = tf.constant("/etc/passwd")
            return v1.while_loop(lambda i, _: i < 2, lambda i, s: (i + 1, tf.io.read_file(name)), [0, tf.constant("")])[
                1
            ]

    save_v1(directory, make)


@hostile()
def read_file_in_a_v1_conditional(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        with loops_of_v1():
            name = tf.constant("/etc/passwd")
            fed = v1.placeholder_with_default(True, [])
            return v1.cond(fed, lambda: tf.io.read_file(name), lambda: tf.constant(""))

    save_v1(directory, make)


@hostile()
def read_file_that_a_placeholder_has_by_default(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.io.read_file(v1.placeholder_with_default("/etc/passwd", [])))


@hostile()
def read_file_that_a_signature_has_by_default(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        signature = meta_graph.signature_def["serving_default"]
        signature.inputs["path"].name = "path:0"
        signature.defaults["path"].CopyFrom(tf.make_tensor_proto("/etc/passwd"))

    save_v1(directory, lambda: tf.io.read_file(v1.placeholder(tf.string, [], name="path")))
    edit(directory, change)


@hostile()
def read_file_that_a_function_is_passed(directory: Path, trace: Path) -> None:
    """In the function's body the path is an argument, as one that a caller passes."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def read(path: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(path)

    save_v1(directory, lambda: read(tf.constant("/etc/passwd")))


@hostile()
def read_file_of_a_loops_second_round(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        path = v1.placeholder(tf.string, [], name="path")
        return tf.while_loop(
            lambda i, *_: i < 2,
            lambda i, p, _: (i + 1, tf.constant("/etc/passwd"), tf.io.read_file(p)),
            [0, path, tf.constant("")],
        )[2]

    save_v1(directory, make)


@hostile()
def table_of_an_absolute_path(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        table = raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        filled = raw.InitializeTableFromTextFileV2(
            table_handle=table, filename="/etc/passwd", key_index=-2, value_index=-1
        )
        v1.add_to_collection("table_initializer", filled)
        return raw.LookupTableFindV2(table_handle=table, keys="x", default_value=tf.constant(-1, tf.int64))

    save_v1(directory, make)


def _with_asset(directory: Path, trace: Path, filename: str) -> None:
    words = trace.parent / "words.txt"
    words.write_text("a\n")

    def make() -> tf.Tensor:
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(words), name="words"))
        return tf.io.read_file(v1.get_default_graph().get_tensor_by_name("words:0"))

    def change(meta_graph: Any) -> None:
        for each in meta_graph.asset_file_def:
            each.filename = filename
        for item in meta_graph.collection_def["saved_model_assets"].any_list.value:
            each = v1.MetaGraphDef().asset_file_def.add()
            item.Unpack(each)
            each.filename = filename
            item.Pack(each)

    save_v1(directory, make, after=lambda: {"assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)})
    edit(directory, change)


@hostile()
def asset_above(directory: Path, trace: Path) -> None:
    _with_asset(directory, trace, "../../words.txt")


@hostile()
def asset_of_an_absolute_path(directory: Path, trace: Path) -> None:
    _with_asset(directory, trace, "/etc/passwd")


@hostile()
def asset_that_is_the_folder(directory: Path, trace: Path) -> None:
    _with_asset(directory, trace, ".")


@hostile()
def asset_that_is_computed(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        meta_graph.asset_file_def.add(filename="words.txt").tensor_info.name = "path:0"

    save_v1(directory, lambda: tf.io.read_file(tf.strings.join(["/etc", "/passwd"], name="path")))
    edit(directory, change)


@hostile()
def path_in_a_variable(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        path = v1.get_variable("path", initializer="/etc/passwd", dtype=tf.string, use_resource=True)
        return tf.io.read_file(path)

    save_v1(directory, make)


@hostile()
def path_in_a_variable_of_two_handles(directory: Path, trace: Path) -> None:
    """One handle is assigned an asset; another one of the same variable, something else."""
    words = trace.parent / "words.txt"
    words.write_text("a\n")

    def make() -> tf.Tensor:
        asset = tf.constant(str(words), name="words")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        one, other = (raw.VarHandleOp(dtype=tf.string, shape=[], shared_name="path") for _ in range(2))
        first = raw.AssignVariableOp(resource=one, value=asset)
        with tf.control_dependencies([first]):
            second = raw.AssignVariableOp(resource=other, value="/etc/passwd")
        with tf.control_dependencies([second]):
            return tf.io.read_file(raw.ReadVariableOp(resource=one, dtype=tf.string))

    save_v1(directory, make, after=lambda: {"assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)})


@hostile()
def path_that_an_objects_function_has_by_default(directory: Path, trace: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda path="/etc/passwd": tf.io.read_file(path))
    module.f.get_concrete_function(tf.TensorSpec([], tf.string))
    tf.saved_model.save(module, str(directory))
