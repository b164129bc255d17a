"""Hostile modules whose signatures, initializers and savers run ops that do harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.attacks.hostile_modules import after, edit, hostile, save_v1, v1, write

raw = tf.raw_ops


@hostile("signature")
def print_to_a_file(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: after(raw.PrintV2(input="x", output_stream=f"file://{trace}")))


@hostile("signature")
def write_file(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: after(write(trace)))


@hostile("signature")
def write_file_of_a_computed_name(directory: Path, trace: Path) -> None:
    folder, name = f"{trace.parent}/", trace.name
    save_v1(directory, lambda: after(tf.io.write_file(tf.strings.join([folder, name]), "written")))


@hostile("load")
def write_file_in_main_op(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: None, after=lambda: {"main_op": write(trace)})


@hostile("load")
def write_file_in_legacy_init_op(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        meta_graph.collection_def["legacy_init_op"].node_list.value.append("evil")

    save_v1(directory, lambda: tf.group(write(trace), name="evil") and None)
    edit(directory, change)


@hostile("load")
def write_file_in_init_signature(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        signature = meta_graph.signature_def["__saved_model_init_op"]
        signature.outputs["__saved_model_init_op"].name = "evil"

    save_v1(directory, lambda: tf.group(write(trace), name="evil") and None)
    edit(directory, change)


@hostile("load")
def restore_op_that_writes(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        evil = meta_graph.graph_def.node.add(name="evil", op="NoOp")
        evil.input.extend(["^written", "^" + meta_graph.saver_def.restore_op_name])
        meta_graph.saver_def.restore_op_name = "evil"

    def make() -> None:
        v1.get_variable("w", [])
        tf.group(write(trace), name="written")

    save_v1(directory, make)
    edit(directory, change)


@hostile("load")
def restore_op_that_saves(directory: Path, trace: Path) -> None:
    """Restoring runs a SaveV2 that writes to another file than the saver is told."""

    def change(meta_graph: Any) -> None:
        evil = meta_graph.graph_def.node.add(name="evil", op="NoOp")
        evil.input.extend(["^save_1/SaveV2", "^" + meta_graph.saver_def.restore_op_name])
        meta_graph.saver_def.restore_op_name = "evil"

    def make() -> None:
        v1.get_variable("w", [])
        save(trace, "save_1/SaveV2")

    save_v1(directory, make)
    edit(directory, change)


def save(trace: Path, name: str) -> Any:
    return raw.SaveV2(
        prefix=str(trace), tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)], name=name
    )


@hostile("signature")
def save_from_a_signature(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: after(save(trace, "save/SaveV2")))


@hostile("signature")
def old_save_from_a_signature(directory: Path, trace: Path) -> None:
    save_v1(
        directory,
        lambda: after(raw.Save(filename=str(trace), tensor_names=["a"], data=[tf.constant(1.0)], name="save/Save")),
    )


@hostile("signature")
def save_that_a_saver_points_to(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        saver = v1.train.SaverDef(
            filename_tensor_name="evil_name:0", save_tensor_name="evil_saved:0", restore_op_name="x"
        )
        meta_graph.collection_def["savers"].bytes_list.value.append(saver.SerializeToString())

    def make() -> tf.Tensor:
        v1.get_variable("w", [])
        name = tf.constant(str(trace), name="evil_name")
        saved = raw.SaveV2(prefix=name, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
        with tf.control_dependencies([saved]):
            tf.identity(name, name="evil_saved")
        return after(saved)

    save_v1(directory, make)
    edit(directory, change)


@hostile()
def save_beside_the_savers_file(directory: Path, trace: Path) -> None:
    """The saver's own SaveV2 writes to where a part of its path says: up, and away."""

    def change(meta_graph: Any) -> None:
        for node in meta_graph.graph_def.node:
            if node.op == "SaveV2":
                node.input[0] = "evil_name"

    def make() -> None:
        v1.get_variable("w", [])
        v1.train.Saver(name="other")
        tf.strings.join(["/../../", v1.get_default_graph().get_tensor_by_name("other/Const:0")], name="evil_name")

    save_v1(directory, make)
    edit(directory, change)


@hostile("signature")
def summary_writer(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        writer = raw.SummaryWriter(shared_name="w", container="")
        logs = raw.CreateSummaryFileWriter(
            writer=writer, logdir=str(trace), max_queue=1, flush_millis=1, filename_suffix=".x"
        )
        with tf.control_dependencies([logs]):
            return after(raw.FlushSummaryWriter(writer=writer))

    save_v1(directory, make)


@hostile()
def record_input(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: raw.RecordInput(file_pattern="/etc/passwd"))


@hostile()
def abort(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: after(raw.Abort(error_msg="bye")))
