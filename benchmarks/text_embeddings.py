"""Time the export of word vectors as a module, beside what everyone starts from, each in a fresh process.

python benchmarks/text_embeddings.py [--words 50000,400000] [--rounds N] [--cache DIRECTORY] [--without-peer]

The files are like GloVe's: 300 values a word, in 5 digits. The other way is that of tensorflow_hub's example: lines are
read in plain Python by float(), the matrix goes into a variable through a feed, and a session exports the module, by
tensorflow_hub 0.15.0 where it is installed, else by `hub.Module` of modhub. The matrices are compared, bit for bit.
The first row is `import tensorflow`, without which that way does not go, and which its seconds include.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from inspection import measured
from peer_stub import import_peer

DIMENSION = 300
NUMBERS = 50_000  # different ones in a file


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", default="50000,400000", help="of the files, separated by commas")
    parser.add_argument("--rounds", type=int, default=3, help="of modhub; the other way runs once")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "modhub-benchmarks")
    parser.add_argument(
        "--without-peer", action="store_true", help="time modhub alone; the other way takes 6 GB of memory"
    )
    parser.add_argument("--write", nargs=2, metavar=("WORDS", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--peer", nargs=2, metavar=("FILE", "MODULE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_vectors(int(options.write[0]), Path(options.write[1]))
    elif options.peer:
        export_by_peer(*options.peer)
    else:
        race([int(count) for count in options.words.split(",")], options)


def race(counts: list[int], options: argparse.Namespace) -> None:
    """Export a file of each size, and print the medians."""
    print(f"median of {options.rounds} fresh processes (the other way: 1); MB are 10^6 bytes, of one at its largest")
    print(f"{'':36}  {'file MB':>8}  {'seconds':>8}  {'memory MB':>9}  {'times as fast':>13}")
    if not options.without_peer:
        seconds, peak = measured(["-c", "import tensorflow"])
        print(f"{'import tensorflow':36}  {'':8}  {seconds:8.2f}  {peak / 1e6:9.1f}", flush=True)
    for count in counts:
        vectors = vectors_file(count, options.cache)
        size = f"{vectors.stat().st_size / 1e6:8.1f}"
        with tempfile.TemporaryDirectory(dir=options.cache) as folder:
            ours, theirs = Path(folder, "modhub"), Path(folder, "peer")
            command = ["-m", "modhub", "export-text-embeddings", "--quiet", str(vectors), str(ours)]
            found = []
            for _ in range(options.rounds + 1):  # the first one fills the system's cache of files
                shutil.rmtree(ours, ignore_errors=True)
                found.append(measured(command))
            seconds, peak = (statistics.median(each) for each in zip(*found[1:], strict=True))
            print(f"modhub, {count:7} words{'':14}  {size}  {seconds:8.2f}  {peak / 1e6:9.1f}", flush=True)
            if options.without_peer:
                continue
            slow, much = measured([__file__, "--peer", str(vectors), str(theirs)])
            row = f"float() and a session, {count:7} words"
            print(f"{row:36}  {size}  {slow:8.2f}  {much / 1e6:9.1f}  {slow / seconds:13.1f}", flush=True)
            data = "variables/variables.data-00000-of-00001"
            subprocess.run(["cmp", str(ours / data), str(theirs / data)], check=True)


def export_by_peer(source: str, path: str) -> None:
    """Export as the example of tensorflow_hub does: all in memory, and through a session."""
    import numpy as np
    import tensorflow as tf

    hub = library()
    v1 = tf.compat.v1
    words: list[str] = []
    rows: list[list[float]] = []
    with open(source, encoding="utf-8") as file:
        for line in file:
            word, *values = line.split()
            words.append(word)
            rows.append([float(value) for value in values])
    matrix = np.array(rows)
    matrix.resize([len(words) + 1, matrix.shape[1]], refcheck=False)

    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder, "tokens.txt")
        vocabulary.write_text("\n".join(words), encoding="utf-8")

        def module_fn() -> None:
            sentences = v1.placeholder(tf.string, [None])
            tokens = v1.string_split(tf.strings.regex_replace(sentences, r"\pP", ""), " ")
            table = v1.get_variable("embeddings", matrix.shape, initializer=v1.zeros_initializer())
            whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            lines = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, whole, tf.int64, number)
            lookup = tf.lookup.StaticVocabularyTable(lines, 1)
            ids = tf.SparseTensor(tokens.indices, lookup.lookup(tokens.values), tokens.dense_shape)
            ids, _ = tf.sparse.fill_empty_rows(ids, lookup.lookup(tf.constant("")))
            combined = tf.nn.embedding_lookup_sparse(table, tf.sparse.reset_shape(ids), None, combiner="sqrtn")
            hub.add_signature("default", {"sentences": sentences}, {"default": combined})

        spec = hub.create_module_spec(module_fn)
        with tf.Graph().as_default(), v1.Session() as session:
            module = hub.Module(spec)
            given = v1.placeholder(tf.float32)
            session.run(v1.assign(module.variable_map["embeddings"], given), feed_dict={given: matrix})
            module.export(path, session)


def library() -> Any:
    """Return tensorflow_hub, or modhub where there is no such one."""
    if importlib.util.find_spec("tensorflow_hub") is None:
        return importlib.import_module("modhub")
    return import_peer()


def vectors_file(count: int, cache: Path) -> Path:
    """Return a file of so many words, which is written where it is missing, by a process of its own."""
    path = cache / f"vectors_{count}.txt"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, __file__, "--write", str(count), str(part)], check=True)
        part.rename(path)
    return path


def write_vectors(count: int, path: Path) -> None:
    """Write words and values such as GloVe's."""
    import numpy as np

    choice = np.random.default_rng(0)
    numbers = [b"%.5f" % value for value in choice.standard_normal(NUMBERS) * 0.4]
    with path.open("wb") as file:
        for index in range(count):
            values = map(numbers.__getitem__, choice.integers(0, NUMBERS, DIMENSION).tolist())
            file.write(b"word%d %s\n" % (index, b" ".join(values)))


if __name__ == "__main__":
    main()
