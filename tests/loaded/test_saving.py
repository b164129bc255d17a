"""A LoadedModule written again: as a TF1 Hub module, and as a TF2 SavedModel that needs no modhub."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    BIAS,
    WEIGHTS,
    affine,
    evaluated,
    lookup,
    normalizing_spec,
    partitioned,
    publish,
    v1,
    variable,
)
from tests.refusals import refused

X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


def test_export_writes_the_weights_of_today(tmp_path: Path) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))
    module.variable_map["gamma"].assign([3.0, 4.0])
    module(X, training=True)
    module.export(tmp_path / "again")
    with tf.Graph().as_default():
        values = evaluated(dict(hub.Module(str(tmp_path / "again"), tags={"train"}).variable_map))
    assert values["gamma"].tolist() == [3.0, 4.0]
    np.testing.assert_allclose(values["mean"], 0.5 * X.mean(0))
    assert len(hub.load_module_spec(tmp_path / "again").get_tags()) == 2


def test_export_keeps_partitions_and_assets(tmp_path: Path) -> None:
    module = hub.load(publish(partitioned, tmp_path / "m"))
    module.variable_map["part/table"][1].assign(tf.zeros([3, 2]))
    module.export(tmp_path / "again")
    assert hub.load(tmp_path / "again")([3, 4]).numpy().tolist() == [[6.0, 7.0], [0.0, 0.0]]
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    hub.load(publish(lookup(tmp_path / "words.txt"), tmp_path / "words")).export(tmp_path / "words again")
    assert hub.load(tmp_path / "words again")(["dog"]).numpy().tolist() == [1]


def test_export_refuses(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))
    with refused(hub.errors.ExportExistsError, tf.errors.AlreadyExistsError, says=("exists",), folder=tmp_path):
        module.export(tmp_path / "m")

    @tf.function(autograph=False)
    def export() -> None:
        module.export(tmp_path / "n")

    with refused(hub.errors.GraphError, says=("outside of functions",), folder=tmp_path):
        export()


def test_a_reusable_saved_model(tmp_path: Path) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.signatures)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    assert [variable.name for variable in saved.variables] == ["gamma:0", "mean:0"]
    assert [variable.name for variable in saved.trainable_variables] == ["gamma:0"]
    assert [loss().numpy() for loss in saved.regularization_losses] == [2.5]
    np.testing.assert_array_equal(saved(X).numpy(), module(X).numpy())
    np.testing.assert_array_equal(saved.signatures["default"](default=X)["default"].numpy(), module(X).numpy())
    with tf.GradientTape() as tape:
        output = saved(X, training=True)
        loss = tf.reduce_sum(output) + saved.regularization_losses[0]()
    np.testing.assert_allclose(output.numpy(), (X - X.mean(0)) * [1, 2])
    np.testing.assert_allclose(saved.variables[1].numpy(), 0.5 * X.mean(0))
    assert module.variable_map["mean"].numpy().tolist() == [0.0, 0.0]
    np.testing.assert_allclose(tape.gradient(loss, saved.trainable_variables[0]).numpy(), [1.0, 2.0], atol=1e-6)


def test_freezing_is_saved(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))
    module.freeze("w")
    tf.saved_model.save(module, str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    assert [variable.name for variable in saved.trainable_variables] == ["b:0"]


def test_a_saved_model_of_a_model_around_it(tmp_path: Path) -> None:
    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = hub.load(publish(affine, tmp_path / "m"))
            self.scale = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return self.scale * self.encoder(x)

    tf.saved_model.save(Model(), str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(saved(X).numpy(), 2 * (X @ WEIGHTS + BIAS), rtol=1e-6)


def several_inputs() -> None:
    """Two inputs, of which one has a name that is no name of Python, and no output "default"."""
    a, b = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs={"in$a": a, "b": b}, outputs={"sum": a + b * variable("w", 2.0)})


READER = """
import json, sys
import tensorflow as tf
folder = sys.argv[1]
found = {}
words = tf.saved_model.load(folder + "/words")
found["words"] = words(tf.constant(["dog", "cow"])).numpy().tolist()
found["words signature"] = words.signatures["default"](default=tf.constant(["cat"]))["default"].numpy().tolist()
several = tf.saved_model.load(folder + "/several")
sums = several({"in$a": tf.constant([1.0]), "b": tf.constant([3.0])})
found["several"] = {name: value.numpy().tolist() for name, value in sums.items()}
found["modhub"] = "modhub" in sys.modules
print(json.dumps(found))
"""


def test_it_loads_where_modhub_and_the_module_are_not(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    words = hub.load(publish(lookup(tmp_path / "words.txt"), tmp_path / "m"))
    tf.saved_model.save(words, str(tmp_path / "saved" / "words"), signatures=words.signatures)
    several = hub.load(publish(several_inputs, tmp_path / "n"))
    tf.saved_model.save(several, str(tmp_path / "saved" / "several"))
    shutil.rmtree(tmp_path / "m")
    shutil.move(tmp_path / "saved", tmp_path / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-c", READER, tmp_path / "elsewhere"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "words": [1, -1],
        "words signature": [0],
        "several": {"sum": [7.0]},
        "modhub": False,
    }


@pytest.mark.parametrize("name", ["genuine/nnlm_ref/module", "genuine/control_flow/module", "published/dm21"])
def test_shared_modules_as_saved_models(shared_modules: Path, tmp_path: Path, name: str) -> None:
    module = hub.load(shared_modules / name)
    inputs = {
        key: tf.ones([2 if dim is None else dim for dim in info.shape], info.dtype)
        if info.dtype != tf.string
        else tf.constant(["a cat", "b"])
        for key, info in module.get_input_info_dict().items()
    }
    tf.saved_model.save(module, str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    outputs = module.get_output_info_dict()
    found = saved(next(iter(inputs.values())) if len(inputs) == 1 else inputs)
    expected = module(inputs, as_dict="default" not in outputs)
    tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5), found, expected)
    assert len(saved.trainable_variables) == len(module.trainable_variables)
