"""Hostile modules that hide what they do in functions, objects, variants and collections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

import modhub as hub
from tests.attacks.hostile_modules import after, edit, hostile, save_v1, v1, write, x

raw = tf.raw_ops


def writing(trace: Path) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)], autograph=False)
    def body(x: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([write(trace)]):
            return tf.identity(x)

    return body


@hostile("signature")
def write_file_in_a_function(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: writing(trace)(x()))


@hostile("signature")
def write_file_in_a_v1_function(directory: Path, trace: Path) -> None:
    """The function's name is the op of the node."""
    from tensorflow.python.framework.function import Defun

    body = Defun(tf.float32, func_name="evil")(lambda value: after(write(trace)) + value)
    save_v1(directory, lambda: body(x()))


@hostile("signature")
def write_file_in_a_loop(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.while_loop(lambda v: v < 1.0, lambda v: after(write(trace)), [x()])[0])


@hostile("signature")
def write_file_in_a_branch(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.cond(x() < 1.0, lambda: after(write(trace)), lambda: 0.0))


@hostile("signature")
def write_file_in_one_of_many_branches(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.switch_case(tf.cast(x(), tf.int32), [lambda: after(write(trace)), lambda: 0.0]))


@hostile("signature")
def write_file_in_a_dataset(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        data = tf.data.Dataset.range(1).map(lambda i: after(write(trace)))
        return data.reduce(0.0, lambda a, b: a + b)

    save_v1(directory, make)


@hostile()
def write_file_in_a_gradient(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        library = meta_graph.graph_def.library
        evil = library.function.add()
        evil.CopyFrom(library.function[0])
        evil.signature.name = "gradient"
        evil.node_def.add(name="evil", op="WriteFile", input=["a", "b"])
        library.gradient.add(function_name=library.function[0].signature.name, gradient_func="gradient")

    save_v1(directory, lambda: tf.function(lambda v: v * 2.0, autograph=False)(x()))
    edit(directory, change)


@hostile("signature")
def attribute_that_a_function_takes_from_its_caller(directory: Path, trace: Path) -> None:
    """In the body the path is a placeholder for an attribute, which the caller's node has."""

    def change(meta_graph: Any) -> None:
        function = meta_graph.graph_def.library.function[0]
        function.signature.attr.add(name="target", type="string")
        for node in function.node_def:
            if node.op == "PrintV2":
                node.attr["output_stream"].placeholder = "target"
        for node in meta_graph.graph_def.node:
            if node.op == "StatefulPartitionedCall":
                node.attr["f"].func.attr["target"].s = f"file://{trace}".encode()

    body = tf.function(lambda v: after(raw.PrintV2(input="x")) + v, autograph=False)
    save_v1(directory, lambda: body(x()))
    edit(directory, change)


@hostile()
def python_function(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: v1.py_func(lambda: 1.0, [], tf.float32))


@hostile()
def eager_python_function(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.py_function(lambda: 1.0, [], tf.float32))


@hostile()
def data_service(directory: Path, trace: Path) -> None:
    def make() -> tf.Tensor:
        return raw.DataServiceDatasetV2(
            dataset_id=0, processing_mode="parallel_epochs", address="evil.example:1", protocol="grpc", job_name="j",
            consumer_index=0, num_consumers=1, max_outstanding_requests=1,
            iteration_counter=raw.DummyIterationCounter(), output_types=[tf.int64], output_shapes=[[]],
        )  # fmt: skip

    save_v1(directory, make)


@hostile()
def remote_call(directory: Path, trace: Path) -> None:
    body = tf.function(lambda v: v, autograph=False).get_concrete_function(tf.TensorSpec([], tf.float32))
    save_v1(directory, lambda: raw.RemoteCall(target="/job:evil", args=[x()], Tout=[tf.float32], f=body)[0])


@hostile()
def tpu_system(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.identity("x", name="configured"))

    def change(meta_graph: Any) -> None:
        for node in meta_graph.graph_def.node:
            if node.name == "configured":
                node.op, node.input[:] = "ConfigureDistributedTPU", []
                node.attr.clear()

    edit(directory, change)


@hostile("call2")
def function_of_an_object(directory: Path, trace: Path) -> None:
    module = tf.Module()
    module.f = writing(trace)
    tf.saved_model.save(module, str(directory))


@hostile("load2")
def resource_that_loading_initializes(directory: Path, trace: Path) -> None:
    from tensorflow.python.trackable.resource import TrackableResource

    class Evil(TrackableResource):
        def _create_resource(self) -> tf.Tensor:
            return raw.HashTableV2(key_dtype=tf.int64, value_dtype=tf.int64, shared_name="evil")

        def _initialize(self) -> None:
            write(trace)

    module = tf.Module()
    module.resource = Evil()
    module.f = tf.function(lambda value: value, input_signature=[tf.TensorSpec([], tf.float32)])
    module.resource.resource_handle  # noqa: B018 - makes it
    tf.saved_model.save(module, str(directory))
    trace.unlink(missing_ok=True)  # saving initializes it, too


@hostile("load")
def restore_function_of_an_object(directory: Path, trace: Path) -> None:
    """TF1's loader runs the op that restores, of which this is a part."""

    def change(meta_graph: Any) -> None:
        for function in meta_graph.graph_def.library.function:
            if "restore" in function.signature.name:
                name = function.node_def.add(name="evil_name", op="Const")
                name.attr["dtype"].type = tf.string.as_datatype_enum
                name.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(trace)))
                function.node_def.add(name="evil", op="WriteFile", input=["evil_name:output:0"] * 2)
                function.control_ret["evil"] = "evil"
                function.signature.control_output.append("evil")

    module = tf.Module()
    module.w = tf.Variable(1.0)
    module.f = tf.function(lambda value: value * module.w, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(directory))
    edit(directory, change)


@hostile()
def gradient_of_an_object(directory: Path, trace: Path) -> None:
    """Nothing in the graph names the function of a custom gradient; loading registers it."""

    @tf.custom_gradient
    def twice(value: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([write(trace)]):
                return upstream * 2.0

        return value * 2.0, gradient

    module = tf.Module()
    module.f = tf.function(twice, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(directory), options=tf.saved_model.SaveOptions(experimental_custom_gradients=True))


@hostile()
def function_in_the_place_of_another(directory: Path, trace: Path) -> None:
    """Grappler calls one function for another with the same `api_implements`."""

    def change(meta_graph: Any) -> None:
        library = meta_graph.graph_def.library
        evil = library.function.add()
        evil.CopyFrom(library.function[0])
        evil.signature.name = "evil"
        evil.node_def.add(name="evil", op="WriteFile", input=["a", "b"])
        for each in (library.function[0], evil):
            each.attr["api_implements"].s = b"the same"

    save_v1(directory, lambda: tf.function(lambda v: v * 2.0, autograph=False)(x()))
    edit(directory, change)


@hostile()
def train_variant(directory: Path, trace: Path) -> None:
    def module_fn(training: bool = False) -> None:
        value = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=value, outputs=after(write(trace)) if training else tf.identity(value))

    hub.create_module_spec(module_fn, [(set(), {}), ({"train"}, {"training": True})]).export(str(directory))


@hostile()
def update_op(directory: Path, trace: Path) -> None:
    def module_fn() -> None:
        value = v1.placeholder(tf.float32, [])
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, write(trace))
        hub.add_signature(inputs=value, outputs=tf.identity(value))

    hub.create_module_spec(module_fn).export(str(directory))


@hostile()
def collection_of_its_own(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: v1.add_to_collection("mine", write(trace)))


@hostile()
def queue_runner(directory: Path, trace: Path) -> None:
    def make() -> None:
        queue = v1.FIFOQueue(1, [tf.float32])
        with tf.control_dependencies([write(trace)]):
            v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue(1.0)]))

    save_v1(directory, make)


@hostile()
def initializer_of_a_variable(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: v1.get_variable("w", initializer=lambda *_, **__: after(write(trace)), shape=[]))
