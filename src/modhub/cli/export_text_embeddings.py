"""`modhub export-text-embeddings`: makes a module of a file of word vectors."""

from __future__ import annotations

import sys

import click

from modhub.cli.group import Command
from modhub.cli.json_output import as_plain, print_json
from modhub.cli.text import shown

__all__ = ["command"]

_EXAMPLES = """
modhub export-text-embeddings glove.6B.300d.txt ./module
modhub export-text-embeddings wiki-news-300d-1M.vec ./module --max-words 200000 --dtype float16
modhub export-text-embeddings GoogleNews-vectors-negative300.bin.gz ./module --format word2vec-binary
modhub export-text-embeddings vectors.txt ./module --lowercase --combiner mean --num-oov-buckets 100
modhub export-text-embeddings vectors.txt ./module --no-preprocess --duplicates first --quiet --json
"""


@click.command("export-text-embeddings", cls=Command, examples=_EXAMPLES)
@click.argument("file", metavar="FILE", type=click.Path(readable=False))
@click.argument("export_dir", metavar="EXPORT_DIR", type=click.Path(readable=False))
@click.option(
    "--format",
    "format_",
    default="auto",
    show_default=True,
    metavar="FORMAT",
    help="What FILE is: glove (no header), word2vec, word2vec-binary, fasttext, or auto, which looks into it.",
)
@click.option("--max-words", type=click.IntRange(min=1), metavar="N", help="Take the first N words only.")
@click.option(
    "--duplicates",
    default="error",
    show_default=True,
    metavar="NAME",
    help="What a word that comes again is: an error, or left out, so that its first vector counts (first).",
)
@click.option(
    "--num-oov-buckets",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Rows, zeros at first, that words share which are not in the file; 0 leaves such words out.",
)
@click.option("--no-preprocess", is_flag=True, help="Take words as they are, a vector for each, and no sentences.")
@click.option("--lowercase", is_flag=True, help="Turn what comes in to lower case; the words of FILE stay as they are.")
@click.option(
    "--combiner",
    default="sqrtn",
    show_default=True,
    metavar="NAME",
    help="The vector of a sentence is the sum of its n words' over the root of n (sqrtn), over n (mean), or as it is "
    "(sum).",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    metavar="NAME",
    help="How values are stored: float32, or float16, which takes half the space. Outputs are float32.",
)
@click.option("--no-trainable", is_flag=True, help="Keep the values out of what those who use the module can train.")
@click.option(
    "--no-tokens-signature", is_flag=True, help="Leave out the second signature, 'tokens', which takes words."
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say how far it is.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(
    file: str,
    export_dir: str,
    format_: str,
    max_words: int | None,
    duplicates: str,
    num_oov_buckets: int,
    no_preprocess: bool,
    lowercase: bool,
    combiner: str,
    dtype: str,
    no_trainable: bool,
    no_tokens_signature: bool,
    quiet: bool,
    in_json: bool,
) -> None:
    """Make a module that embeds texts, of the word vectors in FILE.

    FILE is a text file of GloVe, word2vec or fastText (.vec), or a binary file of word2vec; any of them may be packed
    by gzip. EXPORT_DIR is the new module's directory, and must not exist. The module takes sentences, removes
    punctuation, splits them at spaces, looks the words up, and gives one vector for each sentence. TensorFlow is not
    needed.

    The exit status is 0 if the module was written, and 2 if not; then nothing is left in its place.
    """
    from modhub.export.text.exporting import export_text_embeddings
    from modhub.settings import configure

    configure(progress=not quiet)
    try:
        written = export_text_embeddings(
            file,
            export_dir,
            format=format_,
            max_words=max_words,
            duplicates=duplicates,
            num_oov_buckets=num_oov_buckets,
            preprocess=not no_preprocess,
            lowercase=lowercase,
            combiner=combiner,
            dtype=dtype,
            trainable=not no_trainable,
            tokens_signature=not no_tokens_signature,
        )
    finally:
        configure(progress=None)
    if written.not_finite:
        what = f"{written.not_finite} of the vectors have a nan or infinity, and so has each text with such a word."
        print(f"modhub: warning: {what}", file=sys.stderr)
    if in_json:
        print_json({"path": export_dir, **as_plain(written)})
    else:
        left_out = f", {written.repeated} repeated ones left out" if written.repeated else ""
        click.echo(f"{shown(export_dir)}: {written.words} words of {written.dimension} dimensions{left_out}")
