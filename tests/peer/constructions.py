"""The modules that modhub and tensorflow_hub 0.15.0 exchange, written once for both.

Every function here takes the libraries as parameters, `hub` and `tf`, and uses only what tensorflow_hub 0.15.0 on
TensorFlow 2.15 and modhub on today's TensorFlow both have. Ops newer than TensorFlow 2.15 cannot go back to it, and
so are not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.peer.construction import Call, Construction, Ragged, Sparse, control_flow_v1

__all__ = ["constructions"]


def constructions(genuine: Path | None) -> dict[str, Construction]:
    """Return all constructions by name: those written here and, where that folder is present, the genuine modules."""
    again = {f"genuine {path.name}": _genuine(path) for path in sorted(genuine.iterdir())} if genuine else {}
    return {**_WRITTEN, **again}


def _genuine(folder: Path) -> Construction:
    """Return a module of `../shared/modules/genuine`, to be exported again and called with its golden inputs."""
    golden = np.load(folder / "golden.npz")
    inputs: dict[str, dict[str, Any]] = {}
    called: dict[tuple[str, str], Call] = {}
    for key in golden.files:
        if key.startswith("in/"):
            _, signature, name = key.split("/", 2)
            inputs.setdefault(signature, {})[name] = golden[key]
    for variant, tags in json.loads((folder / "golden.json").read_text())["variants"].items():
        for signature, values in inputs.items():
            if any(key.startswith(f"out/{variant}/{signature}/") for key in golden.files):
                called[variant, signature] = Call(signature=signature, tags=tuple(tags), inputs=values)
    return Construction(
        build=lambda hub, _tf, _folder: hub.load_module_spec(str(folder / "module")),
        calls=tuple(called.values()),
        loops_of_v1=folder.name == "control_flow",
    )


def _variable(tf: Any, name: str, shape: list[int], dtype: Any = None, **options: Any) -> Any:
    """Make a variable whose first value follows from its shape alone, to be the same on both sides."""
    size = int(np.prod(shape))
    dtype = dtype or tf.float32
    value = np.cos(np.arange(1, size + 1, dtype=np.float64)).reshape(shape)
    return tf.compat.v1.get_variable(
        name, shape, dtype, initializer=tf.compat.v1.constant_initializer(value.astype(dtype.as_numpy_dtype)), **options
    )


def _l2(tf: Any, value: Any) -> None:
    tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES, 0.01 * tf.nn.l2_loss(value))


def dense(hub: Any, tf: Any, _folder: Path) -> Any:
    """A dense layer with an L2 loss, its variables in a scope of their own."""

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], name="x")
        with tf.compat.v1.variable_scope("layer/inner"):
            kernel = _variable(tf, "kernel", [3, 4])
            bias = _variable(tf, "bias", [4])
        _l2(tf, kernel)
        hub.add_signature(inputs=x, outputs=tf.tanh(tf.matmul(x, kernel) + bias))

    return hub.create_module_spec(module_fn)


def batch_norm(hub: Any, tf: Any, _folder: Path) -> Any:
    """A convolution under batch norm: a variant to train with, update ops, and a loss."""
    v1 = tf.compat.v1

    def module_fn(is_training: bool) -> None:
        x = v1.placeholder(tf.float32, [None, 4, 4, 2], name="x")
        kernel = _variable(tf, "kernel", [3, 3, 2, 3])
        _l2(tf, kernel)
        net = tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
        gamma, beta = _variable(tf, "gamma", [3]), _variable(tf, "beta", [3])
        kept = {"trainable": False, "collections": [v1.GraphKeys.GLOBAL_VARIABLES, v1.GraphKeys.MODEL_VARIABLES]}
        moving_mean, moving_variance = (_variable(tf, f"moving_{name}", [3], **kept) for name in ("mean", "variance"))
        mean, variance = moving_mean.read_value(), tf.square(moving_variance)
        if is_training:
            mean, variance = tf.nn.moments(net, axes=[0, 1, 2])
            for moving, now in ((moving_mean, mean), (moving_variance, variance)):
                update = moving.assign_sub(0.1 * (moving - now), read_value=False)
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        net = tf.nn.batch_normalization(net, mean, variance, beta, gamma, 1e-3)
        hub.add_signature(inputs={"images": x}, outputs={"default": tf.reduce_mean(net, [1, 2]), "map": net})

    return hub.create_module_spec(module_fn, [(set(), {"is_training": False}), ({"train"}, {"is_training": True})])


def _write_vocabularies(folder: Path) -> tuple[str, str]:
    """Write two vocabularies whose files have one name, and return their paths."""
    paths: list[str] = []
    for name, tokens in (("english", "the cat sat"), ("french", "le chat dort bien")):
        path = folder / name / "tokens.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(tokens.split()) + "\n")
        paths.append(str(path))
    return paths[0], paths[1]


def tables(hub: Any, tf: Any, folder: Path) -> Any:
    """Two vocabularies, assets of one basename: one table with a bucket for unknown tokens, one without."""
    english, french = _write_vocabularies(folder)

    def module_fn() -> None:
        tokens = tf.compat.v1.placeholder(tf.string, [None], name="tokens")
        columns = tf.lookup.TextFileIndex
        files = [
            tf.lookup.TextFileInitializer(path, tf.string, columns.WHOLE_LINE, tf.int64, columns.LINE_NUMBER)
            for path in (english, french)
        ]
        first = tf.lookup.StaticVocabularyTable(files[0], num_oov_buckets=1).lookup(tokens)
        second = tf.lookup.StaticHashTable(files[1], default_value=-1).lookup(tokens)
        embeddings = _variable(tf, "embeddings", [4, 2])
        hub.add_signature(
            inputs=tokens,
            outputs={"default": tf.nn.embedding_lookup(embeddings, first), "english": first, "french": second},
        )

    return hub.create_module_spec(module_fn)


def partitioned(hub: Any, tf: Any, _folder: Path) -> Any:
    """One variable in three parts, beside one that is whole."""
    v1 = tf.compat.v1

    def rows(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        first = partition_info.var_offset[0] * shape[1] if partition_info else 0
        return tf.constant(np.cos(np.arange(first, first + np.prod(shape))).reshape(shape), dtype)

    def module_fn() -> None:
        ids = v1.placeholder(tf.int64, [None], name="ids")
        table = v1.get_variable("table", [7, 2], initializer=rows, partitioner=v1.fixed_size_partitioner(3))
        scale = _variable(tf, "scale", [2])
        hub.add_signature(inputs=ids, outputs=tf.gather(tf.convert_to_tensor(table), ids) * scale)

    return hub.create_module_spec(module_fn)


def old_loops(hub: Any, tf: Any, _folder: Path) -> Any:
    """A v1 cond, and a v1 while_loop that keeps its states in a TensorArray, as dynamic_rnn does."""
    v1 = tf.compat.v1

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [2, 3], name="x")
        flag = v1.placeholder(tf.bool, [], name="flag")
        w = _variable(tf, "w", [3, 3])
        start = v1.cond(flag, lambda: tf.matmul(x, w), lambda: x - 1.0)

        def step(i: Any, state: Any, states: Any) -> Any:
            state = tf.tanh(tf.matmul(state, w))
            return i + 1, state, states.write(i, state)

        states = tf.TensorArray(tf.float32, size=4)
        _, last, states = v1.while_loop(lambda i, *_: i < 4, step, [0, start, states])
        hub.add_signature(
            inputs={"x": x, "flag": flag}, outputs={"default": last, "states": tf.transpose(states.stack(), [1, 0, 2])}
        )

    with control_flow_v1(tf):
        return hub.create_module_spec(module_fn)


def new_loops(hub: Any, tf: Any, _folder: Path) -> Any:
    """The same in the control flow of TF2, whose bodies are functions."""

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [2, 3], name="x")
        flag = tf.compat.v1.placeholder(tf.bool, [], name="flag")
        w = _variable(tf, "w", [3, 3])
        start = tf.cond(flag, lambda: tf.matmul(x, w), lambda: x - 1.0)
        _, last = tf.while_loop(
            lambda i, _: i < 4, lambda i, state: (i + 1, tf.tanh(tf.matmul(state, w))), [0, start], maximum_iterations=9
        )
        hub.add_signature(inputs={"x": x, "flag": flag}, outputs=last)

    return hub.create_module_spec(module_fn)


def sparse(hub: Any, tf: Any, _folder: Path) -> Any:
    """A sparse input, a dense output and a sparse one."""

    def module_fn() -> None:
        ids = tf.compat.v1.sparse_placeholder(tf.int64, [None, None], name="ids")
        table = _variable(tf, "table", [5, 2])
        pooled = tf.compat.v1.nn.embedding_lookup_sparse(table, ids, None, combiner="sqrtn")
        scaled = tf.SparseTensor(ids.indices, tf.gather(table, ids.values)[:, 0], ids.dense_shape)
        hub.add_signature(inputs={"ids": ids}, outputs={"default": pooled, "weights": scaled})

    return hub.create_module_spec(module_fn)


def ragged(hub: Any, tf: Any, _folder: Path) -> Any:
    """A ragged input, a dense output and a ragged one."""

    def module_fn() -> None:
        rows = tf.compat.v1.ragged.placeholder(tf.float32, ragged_rank=1, name="rows")
        scale = _variable(tf, "scale", [1])
        hub.add_signature(
            inputs={"rows": rows},
            outputs={
                "default": tf.reduce_sum(rows, axis=1) * scale,
                "scaled": rows.with_flat_values(scale * rows.values),
            },
        )

    return hub.create_module_spec(module_fn)


def many_signatures(hub: Any, tf: Any, _folder: Path) -> Any:
    """Signatures that share variables, one of two inputs, one of none; and two attached messages."""
    v1 = tf.compat.v1

    def module_fn() -> None:
        apples = v1.placeholder(tf.float32, [None, 2], name="apples")
        oranges = v1.placeholder(tf.float64, [None, 2], name="oranges")
        w, step = _variable(tf, "w", [2, 2]), _variable(tf, "step", [], tf.int64, trainable=False)
        hidden = tf.matmul(apples, w)
        both = hidden + tf.cast(oranges, tf.float32)
        hub.add_signature(inputs=apples, outputs={"default": tf.nn.relu(hidden), "hidden": hidden})
        hub.add_signature(
            "fruit_to_pet",
            inputs={"apples": apples, "oranges": oranges},
            outputs={"cats": both, "dogs": tf.cast(both, tf.float64) - oranges},
        )
        hub.add_signature("state", outputs={"default": tf.reduce_sum(w), "step": step + 1})
        info = hub.ImageModuleInfo()
        info.default_image_size.height, info.default_image_size.width = 3, 5
        hub.attach_image_module_info(info)
        hub.attach_message("recipe", v1.NodeDef(name="pie", op="Bake", input=["apples", "oranges"]))

    return hub.create_module_spec(module_fn)


def function(hub: Any, tf: Any, _folder: Path) -> Any:
    """Calls of a tf.function that calls another: over a weight's value, and over the variable itself."""

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        w = _variable(tf, "w", [2, 2])
        value = w.read_value()

        @tf.function
        def inner(left: Any, right: Any) -> Any:
            return tf.matmul(left, right)

        @tf.function
        def over_value(left: Any) -> Any:
            return tf.sin(inner(left, value)) + left

        @tf.function
        def over_variable(left: Any) -> Any:
            return tf.sin(inner(left, w)) - left

        hub.add_signature(inputs=x, outputs=over_value(x))
        hub.add_signature("over_variable", inputs=x, outputs=over_variable(x))

    return hub.create_module_spec(module_fn)


def stateless(hub: Any, tf: Any, _folder: Path) -> Any:
    """No variables at all."""

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        hub.add_signature(inputs=x, outputs={"default": 2.0 * x, "same": x})

    return hub.create_module_spec(module_fn)


def dtypes(hub: Any, tf: Any, _folder: Path) -> Any:
    """Variables of other kinds than float32 matrices, under devices and colocations."""

    def module_fn() -> None:
        x = tf.compat.v1.placeholder(tf.float64, [None, 2], name="x")
        with tf.device("/cpu:0"):
            double = _variable(tf, "double", [2], tf.float64)
        half = _variable(tf, "half", [2], tf.float16)
        brain = _variable(tf, "brain", [2], tf.bfloat16)
        count = tf.compat.v1.get_variable("count", initializer=np.int64(7), trainable=False)
        switch = tf.compat.v1.get_variable("switch", initializer=np.array([True, False]), trainable=False)
        names = tf.compat.v1.get_variable(
            "names", initializer=tf.constant(["un", "deux", "trois"]), use_resource=True, trainable=False
        )
        empty = tf.compat.v1.get_variable("empty", [0, 2], tf.float32, initializer=tf.compat.v1.zeros_initializer())
        with tf.compat.v1.colocate_with(double):
            scaled = x * double
        both = scaled + tf.cast(half, tf.float64) * tf.cast(brain, tf.float64)
        hub.add_signature(
            inputs=x,
            outputs={
                "default": tf.where(switch, both, tf.cast(count, tf.float64) * both),
                "names": tf.strings.join([names, "!"]),
                "empty": tf.identity(empty),
                "half": half * tf.cast(x, tf.float16),
            },
        )

    return hub.create_module_spec(module_fn)


def nested(hub: Any, tf: Any, folder: Path) -> Any:
    """A module made of another that was published, applied twice, assets included."""
    v1 = tf.compat.v1
    inner = str(folder / "inner")
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(tables(hub, tf, folder))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        module.export(inner, session)

    def module_fn() -> None:
        left = v1.placeholder(tf.string, [None], name="left")
        right = v1.placeholder(tf.string, [None], name="right")
        encode = hub.Module(inner, name="encoder", trainable=True)
        scale = _variable(tf, "scale", [2])
        hub.add_signature(inputs={"left": left, "right": right}, outputs=encode(left) * scale + encode(right))

    return hub.create_module_spec(module_fn)


_X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
_PAIRS = np.array([[1.0, 2.0], [-3.0, 0.5]], np.float32)
_IMAGES = np.sin(np.arange(64, dtype=np.float32)).reshape(2, 4, 4, 2)
_TOKENS = np.array(["cat", "chat", "the", "", "bien"], object)
_LOOPED = tuple(Call(inputs={"x": _X, "flag": np.array(flag)}) for flag in (True, False))

_WRITTEN: Mapping[str, Construction] = {
    "dense": Construction(build=dense, calls=(Call(inputs={"default": _X}),)),
    "batch_norm": Construction(
        build=batch_norm, calls=(Call(inputs={"images": _IMAGES}), Call(tags=("train",), inputs={"images": _IMAGES}))
    ),
    "tables": Construction(build=tables, calls=(Call(inputs={"default": _TOKENS}),)),
    "partitioned": Construction(build=partitioned, calls=(Call(inputs={"default": np.array([0, 6, 3, 3])}),)),
    "old_loops": Construction(build=old_loops, calls=_LOOPED, loops_of_v1=True),
    "new_loops": Construction(build=new_loops, calls=_LOOPED),
    "sparse": Construction(
        build=sparse,
        calls=(
            Call(
                inputs={
                    "ids": Sparse(
                        indices=np.array([[0, 0], [0, 2], [1, 1]], np.int64),
                        values=np.array([4, 0, 2], np.int64),
                        dense_shape=np.array([2, 3], np.int64),
                    )
                }
            ),
        ),
    ),
    "ragged": Construction(build=ragged, calls=(Call(inputs={"rows": Ragged(rows=[[1.0, 2.0, 3.0], [], [4.0]])}),)),
    "many_signatures": Construction(
        build=many_signatures,
        calls=(
            Call(inputs={"default": _PAIRS}),
            Call(signature="fruit_to_pet", inputs={"apples": _PAIRS, "oranges": _PAIRS.astype(np.float64)}),
            Call(signature="state"),
        ),
        attachments={
            "image_module_info": lambda hub, _tf: hub.ImageModuleInfo,
            "recipe": lambda _hub, tf: tf.compat.v1.NodeDef,
        },
    ),
    "function": Construction(
        build=function,
        calls=(
            Call(inputs={"default": _PAIRS}),
            # TensorFlow cannot differentiate an imported function by a variable that it captured.
            Call(signature="over_variable", inputs={"default": _PAIRS}, differentiate=False),
        ),
    ),
    "stateless": Construction(build=stateless, calls=(Call(inputs={"default": _X[0]}),)),
    "dtypes": Construction(build=dtypes, calls=(Call(inputs={"default": _PAIRS.astype(np.float64)}),)),
    "nested": Construction(build=nested, calls=(Call(inputs={"left": _TOKENS, "right": _TOKENS[::-1].copy()}),)),
}
