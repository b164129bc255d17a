"""What `modhub run` gives to scripts, and to nobody else, as `tensorflow`."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from tests.cli.command_lines import in_a_process
from tests.compat.scripted import told

# Says whether it has TensorFlow 1, by each way to import it.
WAYS = """
import importlib
import tensorflow
import tensorflow as tf
from importlib import import_module

def one(module):
    return hasattr(module, "Session")

def inside():
    import tensorflow as tf
    return one(tf)

exec("import tensorflow as executed")
scope = {}
exec("import tensorflow as tf", scope)
exec(compile("import tensorflow.compat as compat, tensorflow as compiled", "<somewhere>", "exec"))
found = [one(module) for module in (
    tensorflow, tf, importlib.import_module("tensorflow"), import_module("tensorflow"), __import__("tensorflow"),
    executed, scope["tf"], compiled)] + [inside()]
"""


@pytest.fixture
def library(tmp_path: Path) -> dict[str, str]:
    """The environment in which a package `library` is installed, with the WAYS in it."""
    installed = tmp_path / "elsewhere" / "site-packages"
    (installed / "library").mkdir(parents=True)
    (installed / "library" / "__init__.py").write_text("from library.ways import found\n")
    (installed / "library" / "ways.py").write_text(WAYS)
    (installed / "single.py").write_text(WAYS)
    path = os.pathsep.join([str(installed), str(Path(__file__).resolve().parents[2] / "src")])
    return {"PYTHONPATH": path}


def test_scripts_and_what_is_beside_them_have_tensorflow_1_and_installed_packages_have_not(
    tmp_path: Path, library: dict[str, str]
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").write_text(WAYS)
    (tmp_path / "beside" / "below.py").write_text(WAYS)
    source = (
        WAYS
        + "import json, beside, beside.below, library, single\n"
        + ("print(json.dumps([found, beside.found, beside.below.found, library.found, single.found]))")
    )
    script, beside, below, package, single = told(tmp_path, source, **library)
    assert script == beside == below == [True] * 9
    assert package == single == [False] * 9


def test_installed_packages_that_are_named_have_tensorflow_1(tmp_path: Path, library: dict[str, str]) -> None:
    source = "import json, library, single\nprint(json.dumps([library.found, single.found]))"
    package, single = told(tmp_path, source, "--package", "library", "SCRIPT", **library)
    assert package == [True] * 9
    assert single == [False] * 9


def test_an_installed_module_that_is_run_has_tensorflow_1(tmp_path: Path, library: dict[str, str]) -> None:
    installed = Path(library["PYTHONPATH"].partition(os.pathsep)[0])
    (installed / "library" / "__main__.py").write_text(
        "import json\nfrom library import found\nprint(json.dumps(found))"
    )
    assert told(tmp_path, "", "-m", "library", "SCRIPT", **library) == [True] * 9


def test_tests_of_a_script_are_run_with_tensorflow_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_test.py").write_text(
        "import tensorflow as tf\n"
        "class BesideTest(tf.test.TestCase):\n"
        "    def test_one(self):\n"
        "        with self.test_session() as session:\n"
        "            self.assertEqual(session.run(tf.placeholder_with_default(1, [])), 1)\n"
        "if __name__ == '__main__':\n"
        "    tf.test.main()\n"
    )
    monkeypatch.chdir(tmp_path)
    for words in (["beside_test.py"], ["-m", "unittest", "beside_test"]):
        done = in_a_process("run", *words)
        assert (done.status, done.err.splitlines()[-1]) == (0, "OK (skipped=1)")


def test_threads_have_one_tensorflow(tmp_path: Path) -> None:
    source = """
    import threading

    found = []

    def work():
        import tensorflow as tf
        found.append(tf)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(set(map(id, found))), len(found))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(source))
    assert in_a_process("run", str(tmp_path / "script.py")).out == "1 8\n"


def test_what_python_imports_for_a_script_is_imported_as_by_the_script(tmp_path: Path) -> None:
    source = """
    import json, pkgutil
    from unittest import mock
    import tensorflow as tf

    with mock.patch("tensorflow.gfile.Exists", return_value=True), mock.patch("tensorflow.placeholder", 3):
        found = pkgutil.resolve_name("tensorflow:app")
        print(json.dumps([tf.gfile.Exists("not_there"), tf.placeholder, found is tf.app]))
    """
    assert told(tmp_path, source) == [True, 3, True]


def test_tensorflow_says_nothing_when_it_starts_unless_it_is_asked_to(tmp_path: Path) -> None:
    source = "import os\nimport tensorflow as tf\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])\n"
    (tmp_path / "script.py").write_text(source)
    done = in_a_process("run", str(tmp_path / "script.py"))
    assert (done.status, done.out, done.err) == (0, "1\n", "")
    (tmp_path / "script.py").write_text("import os\nos.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'\n" + source)
    done = in_a_process("run", str(tmp_path / "script.py"))
    assert (done.status, done.out) == (0, "0\n")
    assert "CPU instructions" in done.err


def test_a_script_without_tensorflow_imports_none(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(sorted({'tensorflow', 'numpy'} & set(sys.modules)))\n")
    assert in_a_process("run", str(tmp_path / "script.py")).out == "[]\n"


def test_modules_are_trained_by_keras_and_frozen_with_their_graph(tmp_path: Path) -> None:
    source = """
    import json
    import numpy as np
    import tensorflow as tf
    import tensorflow_hub as hub
    from tensorflow.keras import backend as K

    def module_fn():
        x = tf.placeholder(tf.float32, [None, 2])
        w = tf.Variable([[1.0], [2.0]], name="w", use_resource=False)
        hub.add_signature(inputs=x, outputs=tf.matmul(x, w))

    class ModuleLayer(tf.keras.layers.Layer):
        def build(self, shape):
            self.module = hub.Module(PATH, trainable=True, name=self.name + "_module")
            self._trainable_weights += tf.trainable_variables("^" + self.name + "_module/.*")
            super(ModuleLayer, self).build(shape)

        def call(self, x):
            return self.module(x)

    PATH = "module"
    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default():
        made = hub.Module(spec)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            made.export(PATH, session)
    session = tf.Session()
    K.set_session(session)
    x = tf.keras.layers.Input((2,))
    model = tf.keras.Model(x, ModuleLayer()(x))
    model.compile(tf.keras.optimizers.Adam(0.1), "mse")
    session.run(tf.global_variables_initializer())
    values = np.ones((4, 2), np.float32)
    before = model.predict(values)[0, 0]
    model.fit(values, np.full((4, 1), 5.0), epochs=3, verbose=0)
    after = model.predict(values)[0, 0]
    frozen = tf.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), [model.output.op.name])
    with tf.Graph().as_default(), tf.Session() as other:
        tf.import_graph_def(frozen, name="")
        again = other.run(model.output.name, {x.name: values})[0, 0]
    print(json.dumps([float(before), bool(3.0 < after < 5.0), bool(abs(after - again) < 1e-5)]))
    """
    found = told(tmp_path, "import os\nos.chdir(os.path.dirname(__file__))\n" + textwrap.dedent(source))
    assert found == [3.0, True, True]


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_have_tensorflow_1(tmp_path: Path, way: str) -> None:
    (tmp_path / "beside.py").write_text("import tensorflow as tf\nSESSION = tf.Session\n")
    source = f"""
    import json, multiprocessing, os
    import tensorflow_hub as hub

    def work(x):
        import beside
        import tensorflow as tf
        with beside.SESSION(graph=tf.Graph()) as session:
            return [x, os.environ["TF_USE_LEGACY_KERAS"], hub.__name__, hasattr(tf, "layers")]

    if __name__ == "__main__":
        with multiprocessing.get_context({way!r}).Pool(1) as pool:
            print(json.dumps(pool.map(work, [1, 2])))
    """
    assert told(tmp_path, source) == [[1, "1", "tensorflow_hub", True], [2, "1", "tensorflow_hub", True]]


def test_values_of_tensorflow_and_of_scripts_are_pickled(tmp_path: Path) -> None:
    source = """
    import json, pickle
    import tensorflow as tf
    from tensorflow.contrib.training import HParams

    class Own(object):
        dtype = tf.float32

    hparams = HParams(rate=0.5, layers=[1, 2])
    values = pickle.loads(pickle.dumps([tf.float32, tf.nn.relu, tf.train.AdamOptimizer, Own, hparams]))
    print(json.dumps([values[0] is tf.float32, values[1] is tf.nn.relu, values[3] is Own, str(values[4])]))
    """
    assert told(tmp_path, source) == [True, True, True, "[('layers', [1, 2]), ('rate', 0.5)]"]


def test_flags_of_tensorflow_hub_are_settings_of_modhub(tmp_path: Path) -> None:
    source = """
    import json
    import tensorflow as tf
    import tensorflow_hub as hub
    from modhub.settings import current

    tf.flags.DEFINE_string("own", "", "")

    def main(argv):
        print(json.dumps([str(current().cache_dir), current().load_format, tf.flags.FLAGS.own, argv[1:]]))

    tf.app.run()
    """
    flags = ["--tfhub_cache_dir=/flag", "--own=x", "--tfhub_model_load_format", "UNCOMPRESSED", "rest"]
    by_flags = told(tmp_path, source, "SCRIPT", *flags, TFHUB_CACHE_DIR="")
    assert by_flags == ["/flag", "UNCOMPRESSED", "x", ["rest"]]
    by_environment = told(tmp_path, source, "SCRIPT", *flags, TFHUB_CACHE_DIR="/environment")
    assert by_environment == ["/environment", "UNCOMPRESSED", "x", ["rest"]]


def test_tensorflow_hub_alone_brings_tensorflow_1(tmp_path: Path) -> None:
    source = """
    import json
    import importlib

    hub = importlib.import_module("tensorflow_hub")
    import tensorflow_hub.module_spec
    from modhub.errors import HandleNotFoundError

    try:
        hub.Module("nowhere")
    except HandleNotFoundError as error:
        print(json.dumps("nowhere" in str(error)))
    """
    assert told(tmp_path, source) is True
    assert (
        told(tmp_path, source.replace('importlib.import_module("tensorflow_hub")', "__import__('tensorflow_hub')"))
        is True
    )


def test_numpy_has_names_of_2018(tmp_path: Path) -> None:
    source = """
    import json
    import numpy as np
    import tensorflow as tf
    print(json.dumps([np.zeros(2, np.int).dtype.name, np.zeros(2, np.float).dtype.name, np.float_(1).dtype.name,
                      np.array(["x"], np.object).dtype.name, np.array([True], np.bool).dtype.name,
                      np.product([2, 3]).item(), np.array(["x"]).astype(np.str).tolist(), np.isinf(np.Inf).item(),
                      repr([np.float32(0.5)])]))
    """
    assert told(tmp_path, source) == [
        "int64",
        "float64",
        "float64",
        "object",
        "bool",
        6,
        ["x"],
        True,
        "[0.5]",
    ]


def test_eager_execution_can_be_asked_for(tmp_path: Path) -> None:
    source = """
    import tensorflow as tf
    tf.enable_eager_execution()
    print(tf.reduce_sum([1, 2]).numpy())
    """
    assert told(tmp_path, source) == 3


@pytest.mark.parametrize(
    ("hidden", "statement", "says"),
    [
        ("tf_slim", "import tensorflow.contrib.slim", "tf_slim, which is not installed: pip install 'modhub[tf1]'"),
        ("tensorflow_estimator", "tf.estimator", "No module named 'tensorflow_estimator'"),
        ("tf_keras", "tf.layers.dense(tf.zeros([1, 1]), 1)", "tf_keras"),
        ("tensorflow", "0", "No module named 'tensorflow'"),
    ],
)
def test_a_package_that_is_missing_is_named(tmp_path: Path, hidden: str, statement: str, says: str) -> None:
    (tmp_path / "script.py").write_text(f"import tensorflow as tf\n{statement}\n")
    done = in_a_process("run", str(tmp_path / "script.py"), hidden=(hidden,))
    assert done.status == 1
    assert says in done.err[done.err.index("Traceback") :]
    assert "compat/tf1" not in done.err


def test_an_error_that_modhub_raises_has_only_frames_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import tensorflow as tf\ndef f():\n    tf.contrib.crf.decode\nf()\n")
    done = in_a_process("run", str(tmp_path / "script.py"))
    lines = done.err[done.err.index("Traceback") :].splitlines()
    assert [line.split(", ")[1:] for line in lines if line.startswith("  File")] == [
        ["line 4", "in <module>"],
        ["line 3", "in f"],
    ]
    assert lines[-1].startswith("modhub.errors.NotCoveredNameError: tf.contrib.crf is not there under `modhub run`.")
