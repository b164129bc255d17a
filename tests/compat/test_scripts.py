"""Scripts as people wrote them in 2018, not a line of them changed, run by `modhub run` on real data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.compat import script_data, script_modules

v1 = tf.compat.v1

SCRIPTS = Path(__file__).parent / "scripts"
NEW_DIGITS = [5, 6, 7, 8, 9]


def run(script: str, *arguments: str) -> str:
    """Run a script in a process of its own, and return what it prints; what it logs is shown when it fails."""
    command = [sys.executable, "-m", "modhub", "run", str(SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-8000:]
    assert "Traceback" not in done.stderr, done.stderr[-8000:]
    return done.stdout


def number(pattern: str, output: str) -> float:
    """The number that a pattern has a group for."""
    found = re.search(pattern, output)
    assert found, output
    return float(found[1])


def pixels(folder: Path, channels: int, size: int) -> tuple[np.ndarray, list[str]]:
    """The pictures of a folder [n, size, size, channels] of 0 to 1, by path, and the names of their folders."""
    paths = sorted(folder.glob("*/*"))
    images = [tf.io.decode_image(path.read_bytes(), channels) for path in paths]
    # Every pixel of a digit is drawn several times: this takes one of them, as TF1's resizing does.
    step = script_data.PICTURE // size
    return np.stack([image.numpy()[::step, ::step] for image in images]) / np.float32(255), [
        path.parent.name for path in paths
    ]


def right(rows: list[list[str]]) -> float:
    """How many of the rows (label, prediction, ...) have the right prediction, of 1."""
    return float(np.mean([label == predicted for label, predicted, *_ in rows]))


def f1(rows: list[list[str]], positive: str) -> float:
    """Twice the hits, of all that are, or are taken for, the positive class."""
    either = [label == positive for label, *_ in rows] + [predicted == positive for _, predicted, *_ in rows]
    return 2 * sum(label == predicted == positive for label, predicted, *_ in rows) / sum(either)


def read_rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def changed(module: str, checkpoint: str | None) -> dict[str, bool]:
    """Whether the variables of a published module have other values in a checkpoint of who uses it."""
    published = tf.train.load_checkpoint(str(Path(module) / "variables" / "variables"))
    trained = tf.train.load_checkpoint(checkpoint)
    found = {}
    for name in published.get_variable_to_shape_map():
        (used,) = [key for key in trained.get_variable_to_shape_map() if key.endswith(f"module/{name}")]
        found[name] = not np.array_equal(published.get_tensor(name), trained.get_tensor(used))
    return found


def test_an_image_module_learns_classes_that_it_has_never_seen(tmp_path: Path) -> None:
    module = script_modules.publish_image_module(tmp_path / "module", seen=[0, 1, 2, 3, 4])
    script_data.write_pictures(tmp_path / "pictures", NEW_DIGITS, each=80, form="jpg")
    script_data.write_pictures(tmp_path / "unseen", NEW_DIGITS, each=40, form="jpg", skip=80)
    out = tmp_path / "out"
    printed = run(
        "retrain.py",
        *("--images", str(tmp_path / "pictures"), "--module", module, f"--out={out}"),
        *("--steps=60", "--eval_every=30", "--learning_rate=0.02", "--test_percent", "20"),
    )

    assert number(r"Final test accuracy = ([\d.]+)%", printed) > 90  # 20 by chance
    assert (out / "labels.txt").read_text().split() == [f"digit_{digit}" for digit in NEW_DIGITS]
    assert not any(changed(module, str(out / "model.ckpt")).values())  # only the layer on top is trained

    images, labels = pixels(tmp_path / "unseen", channels=3, size=script_modules.IMAGE)
    frozen = probabilities_of_graph(out / "graph.pb", images)
    names = (out / "labels.txt").read_text().split()
    assert np.mean([names[row.argmax()] == label for row, label in zip(frozen, labels, strict=True)]) > 0.9
    served = tf.saved_model.load(str(out / "saved_model")).signatures["serving_default"]
    np.testing.assert_allclose(served(images=tf.constant(images))["probabilities"], frozen, atol=1e-6)

    images, _ = pixels(tmp_path / "pictures", channels=3, size=script_modules.IMAGE)
    kept = np.loadtxt(out / "bottlenecks" / "digit_5_000.jpg.txt")
    np.testing.assert_allclose(hub.load(module)(images[:1]).numpy()[0], kept, rtol=1e-4, atol=1e-5)


def probabilities_of_graph(path: Path, images: np.ndarray) -> np.ndarray:
    """What a frozen graph says of images."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        return session.run("probabilities:0", {"images:0": images})


@pytest.mark.parametrize("fine_tuned", [False, True])
def test_a_text_module_is_a_column_of_a_canned_classifier(tmp_path: Path, fine_tuned: bool) -> None:
    module = script_modules.publish_text_module(tmp_path / "text")
    script_data.write_sentences(tmp_path / "data", ["classes", "debugger", "strings"], header=True)
    printed = run(
        "text_classifier.py",
        *(f"--data_dir={tmp_path / 'data'}", f"--module={module}", f"--model_dir={tmp_path / 'model'}"),
        *(f"--export_dir={tmp_path / 'served'}", f"--predictions={tmp_path / 'predictions.tsv'}", "--max_steps=200"),
        *("--hparams=hidden_units=[64,32],learning_rate=0.05,batch_size=64", f"--train_module={fine_tuned}"),
    )

    accuracy = number(r"test: accuracy ([\d.]+)", printed)
    assert accuracy > 0.7  # 0.4 by naming the largest class
    predictions = read_rows(tmp_path / "predictions.tsv")
    assert right(predictions) == pytest.approx(accuracy, abs=1e-4)
    assert changed(module, tf.train.latest_checkpoint(str(tmp_path / "model"))) == {"embeddings": fine_tuned}

    (exported,) = (tmp_path / "served").iterdir()
    served = tf.saved_model.load(str(exported)).signatures["predict"]
    found = served(examples=tf.constant([example(sentence) for *_, sentence in predictions]))
    assert [name[0].decode() for name in found["classes"].numpy()] == [row[1] for row in predictions]
    np.testing.assert_allclose(found["probabilities"].numpy().max(1), [float(row[2]) for row in predictions], atol=1e-5)


def example(sentence: str) -> bytes:
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[sentence.encode()]))
    return tf.train.Example(features=tf.train.Features(feature={"sentence": value})).SerializeToString()


def test_a_bert_module_is_fine_tuned(tmp_path: Path) -> None:
    module = script_modules.publish_bert_module(tmp_path / "bert")
    script_data.write_sentences(tmp_path / "data", ["debugger", "strings"], header=False)
    out = tmp_path / "out"
    run(
        "bert_classifier.py",
        *(f"--data={tmp_path / 'data'}", f"--module={module}", f"--out={out}"),
        *("--max_length=32", "--learning_rate=1e-3", "--epochs", "6", "--nouse_tpu"),
    )

    result: dict[str, Any] = json.loads((out / "eval.json").read_text())
    assert result["accuracy"] > 0.85  # 0.6 by naming the larger class
    assert result["auc"] > 0.9
    predictions = read_rows(out / "predictions.tsv")
    assert right(predictions) == pytest.approx(result["accuracy"])
    assert f1(predictions, "strings") == pytest.approx(result["f1"], abs=1e-5)

    checkpoint = tf.train.latest_checkpoint(str(out / "model"))
    # Softmax does not feel what is added to all keys; the rest has moved.
    moved = changed(module, checkpoint)
    assert {name for name, has in moved.items() if not has} <= {name for name in moved if name.endswith("key/bias")}
    graph = v1.MetaGraphDef.FromString(Path(f"{checkpoint}.meta").read_bytes()).graph_def
    assert any(node.op == "RandomUniform" and node.name.startswith("module") for node in graph.node)  # {"train"}


def test_a_module_is_exported_while_an_estimator_trains(tmp_path: Path) -> None:
    script_data.write_pictures(tmp_path / "train", range(10), each=60, form="png")
    script_data.write_pictures(tmp_path / "eval", range(10), each=20, form="png", skip=60)
    printed = run(
        "export_module.py",
        *(f"--train={tmp_path / 'train'}", f"--eval={tmp_path / 'eval'}", f"--model_dir={tmp_path / 'model'}"),
        *(f"--embeddings={tmp_path / 'vectors.npy'}", "--steps=120", "--eval_every=40", "--exports_to_keep=2"),
    )

    assert number(r"accuracy: ([\d.]+) at step 120", printed) > 0.75  # 0.1 by chance
    assert number(r"features for 32x32 pictures, off by ([\d.]+)", printed) < 1e-4
    exports = sorted((tmp_path / "model" / "export" / "tf_hub").iterdir())
    assert len(exports) == 2  # of three
    assert all(re.fullmatch(r"\d{10}", path.name) for path in exports)

    images, _ = pixels(tmp_path / "eval", channels=1, size=script_data.PICTURE)
    expected = np.load(tmp_path / "vectors.npy")
    path = str(exports[-1] / "features")
    np.testing.assert_allclose(hub.load(path, tags=[])(images), expected, rtol=1e-4, atol=1e-4)
    with tf.Graph().as_default():
        vectors = hub.Module(path)(images)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            np.testing.assert_allclose(session.run(vectors), expected, rtol=1e-4, atol=1e-4)
    assert hub.load_module_spec(path).get_tags() == [set(), {"train"}]
