"""`modhub run`: runs a script that was written for TensorFlow 1, as it is."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

import click

from modhub.cli.group import Command

__all__ = ["command"]

_DETAILS = """
In the script, and in what lies beside it and is imported, `import tensorflow` gives TensorFlow 1:
tf.Session, tf.layers, tf.app, tf.estimator and so on, with v2 behavior off, and of tf.contrib lookup,
layers, framework, training, slim, tpu and others. `import tensorflow_hub` gives modhub, `import keras`
tf.keras. What is not there is an error that says what to use. Installed packages have the TensorFlow
and the Keras that are installed.

It needs TensorFlow and the packages of the extra tf1: pip install 'modhub[cpu,tf1]'.

All else is as with `python SCRIPT`: arguments, exit status, tracebacks. Options of modhub come before SCRIPT.
"""

_EXAMPLES = """
modhub run retrain.py --image_dir flowers
modhub run -m bert.run_classifier --task_name cola
modhub run --package bert train.py
"""


@click.command(
    "run",
    cls=Command,
    details=_DETAILS,
    examples=_EXAMPLES,
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
)
@click.option("-m", "is_module", is_flag=True, help="SCRIPT is the name of a module, or of a package with __main__.")
@click.option(
    "--package", "packages", multiple=True, metavar="NAME", help="An installed package that is for TensorFlow 1, too."
)
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(is_module: bool, packages: tuple[str, ...], script: str, args: tuple[str, ...]) -> None:
    """Run SCRIPT, which was written for TensorFlow 1, with ARGS."""
    from modhub.compat.tf1 import run_module, run_script

    warnings.showwarning = _show_as_python_does
    (run_module if is_module else run_script)(script, args, packages)


def _show_as_python_does(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning of the script: commands of modhub show those of their own otherwise."""
    stream = file or sys.stderr
    stream.write(warnings.formatwarning(message, category, filename, lineno, line))
