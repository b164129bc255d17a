"""`modhub run-signature`: computes one signature of a module on values from the command line or from files."""

from __future__ import annotations

from typing import Any

import click

from modhub import errors
from modhub.cli.failures import next_step
from modhub.cli.group import Command
from modhub.cli.json_output import print_json
from modhub.cli.quiet import import_tensorflow_quietly

__all__ = ["command"]

_VALUES = """
A VALUE is one of
  JSON                 '[[1, 2], [3, 4]]', '["a cat", "a dog"]', 0.5
  a word               for an input of texts; it is a batch of one where a batch is taken
  @FILE.npy            an array
  @FILE.npz[:KEY]      an array of several; KEY is the input's name where it is left out
  @FILE.csv[:COLUMN]   numbers, [rows, columns], or one column; the first line is a header if a cell is no number
  @FILE.json           one JSON value
  @FILE.jsonl          a JSON value in each line, which make up a batch; or objects of values by input name
  @FILE.txt            a text in each line
  @FILE.png, .jpg, ... an image, resized to what the module says (bilinear), as numbers from 0 to 1; several as
                       @a.png,@b.png or '@folder/*.png'; for an input of strings the file's bytes
  -                    JSON lines from stdin

A sparse value is {"indices": [[0, 0], [0, 2]], "values": [1, 2], "dense_shape": [1, 3]}, and bytes that are no
text are {"b64": "..."}; with numbers that JSON lacks ("NaN", "Infinity", "-Infinity") they are
printed so by --json, too. Values are converted to the dtype of the input; one that would be
cut off or is out of range is refused.
"""

# What a look at the module helps with.
_NAMES_AND_VALUES = (
    errors.InvalidInputError,
    errors.UnknownInputError,
    errors.UnknownOutputError,
    errors.UnknownSignatureError,
    errors.UnknownVariantError,
)

_EXAMPLES = """
modhub run-signature ./half_plus_two --input '[1, 2, 10]'
modhub run-signature ./nnlm --input '["a cat", "a dog"]' --json
modhub run-signature ./mobilenet --signature image_classification --input images=@cat.jpg
modhub run-signature ./module --tags train --input x=@rows.csv --input flag=true --outputs default
cat rows.jsonl | modhub run-signature ./module --inputs-from - --batch-size 256 -o outputs.npz
"""


class _Names(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """Names separated by commas, each option adding some."""

    name = "a,b"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


@click.command("run-signature", cls=Command, details=_VALUES, examples=_EXAMPLES)
@click.argument("path", type=click.Path(readable=False))
@click.option("--signature", "-s", metavar="NAME", help='Which one; "default", "serving_default" or the only one.')
@click.option("--tags", type=_Names(), multiple=True, help="The graph variant; none: that without tags, or {'serve'}.")
@click.option(
    "--input", "-i", "words", multiple=True, metavar="[NAME=]VALUE", help="A value; the only input needs no name."
)
@click.option(
    "--inputs-from",
    "files",
    multiple=True,
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Values of all inputs: FILE.npz[:PREFIX], .json or .jsonl, or - for JSON lines from stdin.",
)
@click.option("--outputs", type=_Names(), multiple=True, help="Compute only these outputs.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Compute N rows at a time.")
@click.option(
    "--save", "-o", "target", type=click.Path(), metavar="FILE", help="Write to a .npz, .npy, .jsonl or .csv file."
)
@click.option("--force", is_flag=True, help="Overwrite that file.")
@click.option("--trust", is_flag=True, help="Run the module also if it can do more than compute; see modhub scan.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(
    path: str,
    signature: str | None,
    tags: tuple[tuple[str, ...], ...],
    words: tuple[str, ...],
    files: tuple[str, ...],
    outputs: tuple[tuple[str, ...], ...],
    batch_size: int | None,
    target: str | None,
    force: bool,
    trust: bool,
    in_json: bool,
) -> None:
    """Compute a signature of the module PATH.

    PATH is a directory, an archive or a URL of a TF1 Hub module, a TF1 SavedModel or a TF2 SavedModel.
    """
    if target is not None and in_json:
        raise click.UsageError("--json prints the outputs, and -o writes them to a file: choose one.")
    wanted = tuple(dict.fromkeys(name for names in outputs for name in names)) if outputs else None
    if wanted == ():
        raise click.UsageError("--outputs names no output: leave it out to compute all.")
    # What is wrong with files is said before TensorFlow is imported, which takes seconds.
    from modhub.cli.running.given import read_given
    from modhub.cli.running.saving import check_target, save
    from modhub.handles import find_directory

    find_directory(path)
    if target is not None:
        check_target(target, force)
    given = read_given(words, files)

    import_tensorflow_quietly()
    from modhub.cli.running.batches import run_in_batches
    from modhub.cli.running.callee import find_signature
    from modhub.cli.running.conversion import convert
    from modhub.cli.running.results import as_json_values, as_result, as_text

    chosen = {tag for names in tags for tag in names}
    with next_step("inspect", path, of=_NAMES_AND_VALUES), next_step("scan", path, of=(errors.UntrustedModuleError,)):
        callee = find_signature(path, chosen, signature, wanted, trust=True if trust else None)
        inputs = convert(given, callee)
    found = run_in_batches(callee, inputs, batch_size)
    results = {name: as_result(found[name]) for name in wanted or sorted(found)}
    if target is not None:
        save(target, results, force)
        click.echo(f"Wrote {', '.join(results)} to {target}.", err=True)
    elif in_json:
        values = {name: as_json_values(result) for name, result in results.items()}
        print_json({"signature": callee.signature, "outputs": values})
    else:
        click.echo(as_text(results))
