"""Real data for the scripts of tests/compat/scripts: pictures of digits, and sentences about Python.

The pictures are scikit-learn's digits; the sentences are those of Python's own help pages, each labelled with the
subject of its page.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import tensorflow as tf

SUBJECTS = {
    "classes": ["customization", "attribute-access", "objects", "numeric-types"],
    "debugger": ["debugger"],
    "strings": ["string-methods", "formatstrings", "strings"],
}
PICTURE = 32  # pixels; a digit has 8, each is drawn four times


def digits(wanted: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Digits [n, 8, 8] of 0 to 255, and which they are [n]; the test is skipped without scikit-learn."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn: pip install modhub[demo]")
    pictures, labels = datasets.load_digits(return_X_y=True)
    chosen = np.isin(labels, wanted)
    return (pictures[chosen] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8), labels[chosen].astype(np.int32)


def enlarged(pictures: np.ndarray, size: int) -> np.ndarray:
    """Pictures [n, 8, 8] with every pixel drawn several times: [n, size, size]."""
    return pictures.repeat(size // 8, 1).repeat(size // 8, 2)


def write_pictures(folder: Path, wanted: Sequence[int], each: int, form: str, skip: int = 0) -> None:
    """Write `folder/digit_<d>/<number>.<form>`: of each digit so many pictures, after the first `skip` ones."""
    encode = {"jpg": lambda pixels: tf.io.encode_jpeg(pixels, quality=95), "png": tf.io.encode_png}[form]
    pictures, labels = digits(wanted)
    for digit in wanted:
        chosen = enlarged(pictures[labels == digit], PICTURE)[skip : skip + each]
        place = folder / f"digit_{digit}"
        place.mkdir(parents=True)
        for number, pixels in enumerate(chosen, skip):
            (place / f"{number:03}.{form}").write_bytes(encode(pixels[:, :, None]).numpy())


def sentences(subject: str) -> list[str]:
    """The sentences about a subject, each once, in the order of the pages."""
    found: dict[str, None] = {}
    for page in SUBJECTS[subject]:
        for paragraph in re.split(r"\n\s*\n", topics[page]):
            text = unicodedata.normalize("NFKC", " ".join(paragraph.split()))
            for sentence in re.split(r"(?<=[.:]) (?=[A-Z(])", text):
                words = re.findall(r"[A-Za-z]{2,}", sentence)
                if len(words) >= 6 and len(sentence) < 300 and not re.search(r">>>|\.\.\. |===|[{}|\t]", sentence):
                    found.setdefault(sentence)
    return list(found)


def write_sentences(folder: Path, subjects: Sequence[str], header: bool) -> None:
    """Write `folder/train.tsv` and `folder/test.tsv` (every fourth sentence): label, sentence."""
    folder.mkdir(parents=True)
    rows = [(subject, text) for subject in subjects for text in sentences(subject)]
    for name, chosen in (("test", rows[::4]), ("train", [row for i, row in enumerate(rows) if i % 4])):
        with (folder / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
            writer.writerows([("label", "sentence"), *chosen] if header else chosen)


def vectors(dimensions: int) -> tuple[list[str], np.ndarray]:
    """Words of all help pages, and their vectors [n, dimensions]: what stands beside them, compressed by an SVD."""
    texts = [re.findall(r"[a-z]{2,}|[0-9]+", text.lower()) for _, text in sorted(topics.items())]
    counts = Counter(word for text in texts for word in text)
    words = [word for word, count in counts.most_common() if count >= 4]
    row = {word: number for number, word in enumerate(words)}
    beside = np.zeros([len(words), 400])
    for text in texts:
        numbers = [row.get(word, -1) for word in text]
        for place, centre in enumerate(numbers):
            for context in numbers[max(0, place - 4) : place] + numbers[place + 1 : place + 5]:
                if centre >= 0 and 0 <= context < beside.shape[1]:
                    beside[centre, context] += 1
    expected = beside.sum(1, keepdims=True) * beside.sum(0) / beside.sum()
    surprise = np.log1p(beside) - np.log1p(expected)
    left, scale, _ = np.linalg.svd(surprise - surprise.mean(0), full_matrices=False)
    found = left[:, :dimensions] * np.sqrt(scale[:dimensions])
    return words, (found / found.std()).astype(np.float32)
