"""Publish an image module, reuse it for other classes, and publish what came of it: on real 8x8 scans of digits.

Run it with `make demo`, or `python examples/digits.py --out DIRECTORY`. What it does, in the order of `main`:

1. pre-trains a small convolutional feature extractor on the digits 0-4 and publishes it as a module;
2. loads that by path, to tell 5-9 apart from 40 labelled examples of each: frozen under a linear head, then fine-tuned;
3. compares both with the same network trained from scratch, on scans that no run has seen;
4. loads the tuned module that was published on the way, and checks that it computes what the tuning session did;
5. puts the module of 1 into a Keras 3 model, frozen and fine-tuned by `fit`, and saves, publishes and loads the result.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import digits_keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import modhub as hub

v1 = tf.compat.v1

SIGNATURE = "image_feature_vector"
SIDE = 8  # pixels of a scan, in height and in width
WIDTHS = (16, 32, 32)  # channels after each of the three convolutions
FEATURES = 2 * 2 * WIDTHS[-1]  # the last two convolutions halve the image, and its places are kept apart
WEIGHT_DECAY = 1e-4
MOMENTUM = 0.9  # of the moving statistics: a tuning run has only some dozen steps to move them
LEARNING_RATE = 5e-3
BATCH = 50
SHOTS = 40  # labelled examples of each of the digits 5-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scans:
    """Images as `float32 [count, 8, 8, 3]` in [0, 1], and the class index of each as `int64 [count]`."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Scans to learn from, and others to be judged by."""

    training: Scans
    held_out: Scans


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of a training run.

    `features` is what its session computed at the end for the first batch of held-out scans, with the variant that
    it trained: `float32 [batch, features]`.
    """

    module: str
    accuracy: float
    features: NDArray[np.float32]


def main() -> None:
    """Run the five parts, telling what each does."""
    started = time.perf_counter()
    v1.logging.set_verbosity(v1.logging.ERROR)  # v1's graph API announces at every call that it is deprecated
    arguments = _arguments()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="modhub-digits-"))
    budgets, seeds = ((10,), 1) if arguments.quick else ((10, 30, 100), 3)

    print("1. Pre-train a feature extractor on the digits 0-4 and publish it")
    pretrained = pretrain(out / "features", steps=60 if arguments.quick else 300)

    print("\n2. Load it by path, to tell the digits 5-9 apart")
    describe(pretrained)
    results = {(steps, seed): compare(pretrained, out, steps, seed) for steps in budgets for seed in range(seeds)}

    print("\n3. Accuracy on held-out scans of the digits 5-9")
    print_table(results)

    print("\n4. Load the tuned module that was published")
    check_published(results[budgets[-1], 0]["fine-tuned"], load_task(range(5, 10), SHOTS, seed=0))

    print("\n5. The module of 1 in a Keras 3 model")
    keras_half(pretrained, out / "keras", steps=budgets[-1])
    print(f"\nFinished in {time.perf_counter() - started:.0f} s. All modules are in {out}")


def pretrain(path: Path, steps: int) -> str:
    """Train the module on the digits 0-4, publish it at `path`, and return that."""
    task = load_task(range(5), shots=140, seed=0)
    print(f"   {steps} steps of {BATCH} on {len(task.training.labels)} scans, from random weights")
    run = train(feature_spec(), task, steps, seed=0, fine_tune=True, path=path)
    print(f"   held-out accuracy on 0-4: {run.accuracy:.1%} of {len(task.held_out.labels)} scans")
    print(f"   published at {run.module}")
    return run.module


def compare(pretrained: str, out: Path, steps: int, seed: int) -> dict[str, Run]:
    """Learn the digits 5-9 in three ways, from the same scans in the same order."""
    task = load_task(range(5, 10), SHOTS, seed)
    print(f"   {steps} steps of {BATCH} on {len(task.training.labels)} labelled scans drawn by seed {seed}, three ways")
    name = f"{steps}-steps-seed-{seed}"
    return {
        "from scratch": train(feature_spec(), task, steps, seed=seed, fine_tune=True, path=out / f"scratch-{name}"),
        "frozen": train(pretrained, task, steps, seed=seed),
        "fine-tuned": train(pretrained, task, steps, seed=seed, fine_tune=True, path=out / f"tuned-{name}"),
    }


def feature_spec() -> hub.ModuleSpec:
    """Return the spec of the module in its two variants: for inference (no tags), and for training."""
    return hub.create_module_spec(
        feature_extractor, tags_and_args=[(set(), {"is_training": False}), ({"train"}, {"is_training": True})]
    )


def feature_extractor(is_training: bool) -> None:
    """Define the module: three convolutions with batch norm (a module_fn)."""
    images = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="images")
    net = images
    for index, width in enumerate(WIDTHS):
        with v1.variable_scope(f"block{index}"):
            net = _convolution(net, width, stride=1 if index == 0 else 2)
            net = tf.nn.relu(_batch_norm(net, is_training))
    features = tf.reshape(net, [-1, FEATURES])

    # The common signature for image feature vectors; `default` makes it what `module(images)` computes.
    for name in ("default", SIGNATURE):
        hub.add_signature(name, inputs={"images": images}, outputs={"default": features})
    info = hub.ImageModuleInfo()
    info.default_image_size.height = SIDE
    info.default_image_size.width = SIDE
    hub.attach_image_module_info(info)


def _convolution(net: tf.Tensor, width: int, *, stride: int) -> tf.Tensor:
    fan_in = 9 * net.shape[-1]
    kernel = v1.get_variable(
        "kernel",
        shape=[3, 3, net.shape[-1], width],
        initializer=v1.truncated_normal_initializer(stddev=(2.0 / fan_in) ** 0.5),
        regularizer=lambda value: WEIGHT_DECAY * tf.nn.l2_loss(value),  # goes to REGULARIZATION_LOSSES
    )
    return tf.nn.conv2d(net, kernel, strides=stride, padding="SAME")


def _batch_norm(net: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Normalize each channel: in training by the batch, with update ops for the moving statistics used elsewhere."""
    shape = net.shape[-1:]
    gamma = v1.get_variable("gamma", shape, initializer=v1.ones_initializer())
    beta = v1.get_variable("beta", shape, initializer=v1.zeros_initializer())
    moving_mean = v1.get_variable("moving_mean", shape, initializer=v1.zeros_initializer(), trainable=False)
    moving_variance = v1.get_variable("moving_variance", shape, initializer=v1.ones_initializer(), trainable=False)
    if not is_training:
        return tf.nn.batch_normalization(net, moving_mean, moving_variance, beta, gamma, variance_epsilon=1e-3)
    mean, variance = tf.nn.moments(net, axes=[0, 1, 2])
    for moving, current in ((moving_mean, mean), (moving_variance, variance)):
        update = moving.assign_sub((1.0 - MOMENTUM) * (moving - current), read_value=False)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    return tf.nn.batch_normalization(net, mean, variance, beta, gamma, variance_epsilon=1e-3)


def load_task(digits: range, shots: int, seed: int) -> Task:
    """Return a task on these digits: `shots` scans of each to learn from, drawn by `seed`, and all others."""
    data = load_digits()
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(data.target == digit)) for digit in digits]
    return Task(
        training=_scans(data, np.concatenate([rows[:shots] for rows in chosen]), digits),
        held_out=_scans(data, np.concatenate([rows[shots:] for rows in chosen]), digits),
    )


def _scans(data: Any, rows: NDArray[np.int64], digits: range) -> Scans:
    grey = (data.images[rows] / 16.0).astype(np.float32)  # 0 to 16 in the data set, [0, 1] in the common signature
    return Scans(images=np.repeat(grey[..., np.newaxis], 3, axis=-1), labels=data.target[rows] - digits.start)


def train(
    spec: hub.ModuleSpec | str, task: Task, steps: int, *, seed: int, fine_tune: bool = False, path: Path | None = None
) -> Run:
    """Train a linear head on a module's features, and with `fine_tune` the module as well.

    Args:
      spec: a published module's path, or a spec, whose variables start from their random initializers.
      task: scans to learn from, and to be judged by.
      steps: optimizer steps, of `BATCH` scans each.
      seed: of the initial weights and of the order of the scans.
      fine_tune: train the module too, by its variant for training, with its losses and update ops.
      path: where to publish the trained module; needed with `fine_tune`.
    """
    with tf.Graph().as_default():
        v1.set_random_seed(seed)
        images = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3])
        labels = v1.placeholder(tf.int64, [None])
        module = hub.Module(spec, trainable=fine_tune, tags={"train"} if fine_tune else None)
        features = module({"images": images}, signature=SIGNATURE)
        weights = v1.get_variable("weights", [FEATURES, 5], initializer=v1.zeros_initializer())
        bias = v1.get_variable("bias", [5], initializer=v1.zeros_initializer())

        logits = features @ weights + bias
        cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
        # Both collections stay empty for a frozen module.
        loss = cross_entropy + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            step = v1.train.AdamOptimizer(LEARNING_RATE).minimize(loss)

        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            for batch in _batches(task.training, steps, seed):
                session.run(step, {images: batch.images, labels: batch.labels})
            if path is not None:
                module.export(str(path), session)
            module_path = str(spec if path is None else path)
            head = session.run([weights, bias])
            return Run(
                module=module_path,
                accuracy=_accuracy(module_path, head, task.held_out),
                features=session.run(features, {images: task.held_out.images[:BATCH]}),
            )


def _batches(scans: Scans, steps: int, seed: int) -> Iterator[Scans]:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.choice(len(scans.labels), BATCH, replace=False)
        yield Scans(images=scans.images[rows], labels=scans.labels[rows])


def _accuracy(module_path: str, head: Iterable[NDArray[np.float32]], scans: Scans) -> float:
    """Judge a published module under its head, in a new graph and by the variant for inference (no tags)."""
    weights, bias = head
    with tf.Graph().as_default(), v1.Session() as session:
        features = hub.Module(module_path)(scans.images)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        predicted = np.argmax(session.run(features) @ weights + bias, axis=1)
    return float(np.mean(predicted == scans.labels))


def describe(path: str) -> None:
    """Print what a published module says of itself."""
    spec = hub.load_module_spec(path)
    height, width = hub.get_expected_image_size(spec)
    print(f"   variants: {sorted(sorted(tags) for tags in spec.get_tags())}")
    print(f"   signatures: {', '.join(sorted(spec.get_signature_names()))}")
    print(f"   takes images of {height} x {width} x {hub.get_num_image_channels(spec)}")
    print(f"   gives {spec.get_output_info_dict(SIGNATURE)['default'].get_shape()[-1]} features")


def print_table(results: dict[tuple[int, int], dict[str, Run]]) -> None:
    """Print a row for each way of learning: mean and standard deviation over the seeds, by the number of steps."""
    budgets = sorted({steps for steps, _ in results})
    print(f"   {'':<14}" + "".join(f"{f'{steps} steps':>18}" for steps in budgets))
    for way in next(iter(results.values())):
        cells: list[str] = []
        for budget in budgets:
            accuracies = [runs[way].accuracy for (steps, _), runs in results.items() if steps == budget]
            cells.append(f"{np.mean(accuracies):.1%} +- {np.std(accuracies):.1%}")
        print(f"   {way:<14}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"   (mean +- standard deviation; draws of the labelled scans: {len(results) // len(budgets)})")


def check_published(run: Run, task: Task) -> None:
    """Apply the published module of `run` in a new graph, and compare its features with those of the session."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(run.module, tags={"train"})
        features = module(task.held_out.images[:BATCH])
        session.run(v1.global_variables_initializer())
        difference = np.max(np.abs(session.run(features) - run.features))
    print(f"   {run.module}")
    for file in sorted(Path(run.module).rglob("*")):
        if file.is_file():
            print(f"   {file.stat().st_size:>9,} bytes  {file.relative_to(run.module)}")
    if difference > 1e-5:
        raise SystemExit(f"The published module differs from the tuned session by {difference:.3g}.")
    print(f"   outputs equal those of the tuning session: OK (largest difference {difference:.2g})")


def keras_half(pretrained: str, folder: Path, steps: int) -> None:
    """Learn the digits 5-9 in a Keras model, frozen and fine-tuned, and check what the tuned one is saved as."""
    task = load_task(range(5, 10), SHOTS, seed=0)
    folder.mkdir(parents=True)
    epochs = -(-steps * BATCH // len(task.training.labels))
    for way, fine_tune in (("frozen", False), ("fine-tuned", True)):
        model = digits_keras.learn(
            pretrained,
            task.training.images,
            task.training.labels,
            signature=SIGNATURE,
            epochs=epochs,
            batch=BATCH,
            learning_rate=LEARNING_RATE,
            fine_tune=fine_tune,
        )
        accuracy = digits_keras.accuracy(model, task.held_out.images, task.held_out.labels)
        print(f"   {way:<14}{accuracy:>8.1%} held-out accuracy on 5-9 after {epochs} epochs of fit")
    digits_keras.check_saved(model, task.held_out.images[:BATCH], folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to publish (default: a fresh temporary directory)")
    parser.add_argument("--quick", action="store_true", help="few steps and one seed: to see that it runs")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nInterrupted. What is published so far is whole; run it again for the rest.") from None
