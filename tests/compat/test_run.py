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


def test_the_face_of_tensorflow(tmp_path: Path) -> None:
    source = """
    import json
    import tensorflow as tf
    import tensorflow.keras.backend as K
    import tensorflow.python.client.timeline
    import tensorflow.layers as layers
    from tensorflow import flags, gfile, keras
    import tensorflow.compat.v1 as v1_too
    from tensorflow.compat import v1
    from tensorflow.core.framework import graph_pb2
    from tensorflow.keras.layers import Dense
    from tensorflow.python.estimator.canned import head
    from tensorflow.python.framework import ops
    from tensorflow.python.keras.layers import Dense as DenseToo
    from tensorflow.python.ops import array_ops, init_ops
    from tensorflow.python.platform import gfile as gfile_too
    from tensorflow.train import AdamOptimizer
    import modhub
    import tensorflow_hub as hub

    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.dense(x, 2)
    print(json.dumps({
        "graph": [not tf.executing_eagerly(), y.shape[1].value, type(tf.trainable_variables()[0]).__name__],
        "same": [layers is tf.layers, K is tf.keras.backend, keras is tf.keras, Dense is DenseToo is keras.layers.Dense,
                 flags is tf.flags, gfile is tf.gfile, AdamOptimizer is tf.train.AdamOptimizer,
                 tensorflow is tf, tf.python.client.timeline.Timeline is not None, v1 is v1_too is tf.compat.v1,
                 v1.Session is tf.Session, hasattr(v1, "estimator"), not hasattr(tf.compat.v2, "Session"),
                 tf.compat.as_text(b"x") == "x",
                 gfile_too.Exists is not None, head.__name__.startswith("tensorflow_estimator"),
                 hub.Module is modhub.Module],
        "there": [hasattr(tf, name) for name in ("estimator", "contrib", "app", "logging", "python_io", "__version__")],
        "not_there": [hasattr(tf, name) for name in ("mul", "examples", "no_such_name")],
        "name": tf.__name__,
        "keras": tf.keras.layers.Layer.__module__.split(".")[0],
    }))
    """
    found = told(tmp_path, source)
    assert found["graph"] == [True, 2, "RefVariable"]
    assert all(found["same"])
    assert all(found["there"])
    assert not any(found["not_there"])
    assert (found["name"], found["keras"]) == ("tensorflow", "tf_keras")


def test_all_names_of_tensorflow_1_are_imported_by_a_star(tmp_path: Path) -> None:
    source = """
    import sys
    from tensorflow import *
    sys.stdout.write(str(int(Session is not None and placeholder is not None)))
    """
    assert told(tmp_path, source) == 1


def test_errors_name_what_is_not_there_and_what_to_do(tmp_path: Path) -> None:
    source = """
    import importlib, json
    import tensorflow as tf

    def said(code):
        try:
            exec(code)
        except (ImportError, AttributeError) as error:
            return [type(error).__name__, error.name, str(error)]

    print(json.dumps([said(code) for code in (
        "tf.mul",
        "tf.contrib.crf.crf_log_likelihood",
        "import tensorflow.contrib.crf",
        "import tensorflow.contrib.crf as crf",
        "from tensorflow.contrib import crf",
        "from tensorflow.contrib.crf import crf_log_likelihood",
        "importlib.import_module('tensorflow.contrib.crf')",
        "from tensorflow.contrib.layers import real_valued_column",
        "from tensorflow.contrib.layers.python.layers import no_such_file",
        "from tensorflow.examples.tutorials.mnist import input_data",
        "from tensorflow.python.ops import no_such_file",
        "import tensorflow.python.ops.no_such_file",
        "from tensorflow.python.estimator.no_such_file import x",
        "from tensorflow import no_such_name",
        "tf.contrib.data.no_such_name",
        "tf.no_such_name",
    )]))
    """
    kinds, names, messages = zip(*told(tmp_path, source), strict=True)
    attribute, imported = "NotCoveredNameError", "NotCoveredImportError"
    assert kinds == (attribute, attribute, *[imported] * 12, attribute, attribute)
    assert names[:3] == ("mul", "crf", "tensorflow.contrib.crf")
    addons = "It was conditional random fields; its code is in TensorFlow Addons (tfa.text), which has ended."
    assert messages[0] == "tf.mul is not there under `modhub run`. Use tf.multiply."
    assert set(messages[1:5]) | {messages[6]} == {f"tf.contrib.crf is not there under `modhub run`. {addons}"}
    assert messages[7].endswith("It was an early feature column; use tf.feature_column.")
    assert messages[8].startswith("tf.contrib.layers.python.layers.no_such_file is not there under `modhub run`. What ")
    assert messages[9].startswith("tf.examples.tutorials.mnist is not there under `modhub run`. It was tutorials")
    assert messages[10] == messages[11]
    assert messages[10].endswith("look for a public name of it.")
    assert messages[14].endswith("Those of tf.data.experimental are there.")
    assert messages[15].endswith("(tf.compat.v1).")


def test_no_name_that_is_there_is_in_the_table_of_those_that_are_not(tmp_path: Path) -> None:
    source = """
    import json, operator
    import tensorflow as tf
    from modhub.compat.tf1.advice import ADVICE

    def is_there(name):
        try:
            return operator.attrgetter(name.partition(".")[2])(tf) is not None
        except AttributeError:
            return False

    print(json.dumps([name for name in ADVICE if is_there(name)]))
    """
    parts = "cluster_resolver data distribute estimator framework layers lookup losses metrics rnn slim tpu training"
    assert told(tmp_path, source) == ["tf.contrib", *(f"tf.contrib.{part}" for part in parts.split()), "tf.python"]


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


def test_numpy_has_names_of_2018(tmp_path: Path) -> None:
    source = """
    import json
    import numpy as np
    import tensorflow as tf
    print(json.dumps([np.zeros(2, np.int).dtype.name, np.zeros(2, np.float).dtype.name, np.float_(1).dtype.name,
                      np.array(["x"], np.object).dtype.name, np.array([True], np.bool).dtype.name,
                      np.product([2, 3]).item(), np.array(["x"]).astype(np.str).tolist(), np.isinf(np.Inf).item()]))
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
