from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.errors import CorruptModuleError
from modhub.format import check_constants, read_saved_model
from modhub.format.dtypes import element_count
from tests.format.tensorflow_dtypes import KNOWN_DTYPES

tf = pytest.importorskip("tensorflow")
saved_model_pb2 = pytest.importorskip("tensorflow.core.protobuf.saved_model_pb2")


def test_the_constants_of_every_shared_module_pass(shared_modules: Path) -> None:
    for path in shared_modules.rglob("saved_model.pb"):
        saved_model = read_saved_model(path.parent, saved_model_pb2.SavedModel)
        before = saved_model.ByteSize()
        for meta_graph in saved_model.meta_graphs:
            check_constants(meta_graph.graph_def, str(path))
        # A look at a map field may add to it.
        assert saved_model.ByteSize() == before


def test_the_check_is_cheap(shared_modules: Path) -> None:
    directory = shared_modules / "genuine" / "resnet_like" / "module"
    graph_def = read_saved_model(directory, saved_model_pb2.SavedModel).meta_graphs[0].graph_def

    def seconds() -> float:
        start = time.perf_counter()
        check_constants(graph_def, "resnet_like")
        return time.perf_counter() - start

    # It takes 3 ms for 3000 nodes; a busy machine is let have five times that.
    assert min(seconds() for _ in range(10)) < 0.005 * len(graph_def.node) / 1000


@pytest.mark.parametrize("number", KNOWN_DTYPES)
def test_the_constants_that_tensorflow_makes_pass(number: int) -> None:
    dtype = tf.dtypes.as_dtype(number)
    values = np.array([b"a", b"b"], object) if number == 7 else np.ones([2], dtype.as_numpy_dtype)
    for array in (values, values[:1].reshape(()), np.repeat(values, 100), values[:0]):
        graph_def = tf.compat.v1.GraphDef()
        node = graph_def.node.add(name="c", op="Const")
        try:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array, dtype))
        except TypeError:
            pytest.skip(f"make_tensor_proto takes no {dtype.name}")
        check_constants(graph_def, "here")


def test_functions_are_checked() -> None:
    @tf.function
    def function(x: Any) -> Any:
        return x + tf.fill([2], 3.0) + tf.constant([1.0, 2.0])

    graph = tf.Graph()
    with graph.as_default():
        function(tf.zeros([2]))
    graph_def = graph.as_graph_def()
    check_constants(graph_def, "here")
    constant = next(node for node in graph_def.library.function[0].node_def if node.op == "Const")
    constant.attr["value"].tensor.tensor_shape.dim.add(size=2**33)
    with pytest.raises(CorruptModuleError, match=f"/{constant.name}' has"):
        check_constants(graph_def, "here")


@pytest.mark.parametrize("shape", [(2**62, 2**62, 0), (2**62, 4), (-1,)])
def test_the_shapes_that_are_refused_are_those_that_tensorflow_refuses(shape: tuple[int, ...]) -> None:
    proto = tf.make_tensor_proto(1.0)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=r"more than|negative"):
        element_count(shape)
    with pytest.raises((tf.errors.OpError, ValueError)):
        tf.io.parse_tensor(proto.SerializeToString(), tf.float32)
