"""run_script and run_module: what `python SCRIPT.py` and `python -m MODULE` do, with TensorFlow 1 for the script."""

from __future__ import annotations

import atexit
import builtins
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, TypeVar

from modhub import errors
from modhub.compat.tf1.importing import install
from modhub.compat.tf1.spawned import prepare_children
from modhub.compat.tf1.tracebacks import show

__all__ = ["run_module", "run_script"]

_T = TypeVar("_T")


def run_script(path: str, args: Sequence[str] = (), packages: Iterable[str] = ()) -> None:
    """Run a file as `python PATH ARGS` does, with TensorFlow 1.

    `sys.argv`, `sys.path[0]`, `__main__`, its `__name__` and `__file__`, the traceback of an error and the exit status
    are as they are then. The process is the script's from here on: what it changes stays changed.

    Args:
      path: a Python file.
      args: its arguments.
      packages: as for `install`.

    Raises:
      HandleNotFoundError: there is no such file.
      InvalidArgumentError: it is a directory.
      SystemExit: the script ended itself, or ended by an error that was shown.
    """
    file = os.path.join(os.getcwd(), path)
    source = _read(path, file)
    _prepare(os.path.dirname(os.path.realpath(path)), packages)
    sys.argv = [path, *args]
    main = _new_main(file, SourceFileLoader("__main__", file))
    code = _run(lambda: compile(source, file, "exec", dont_inherit=True))
    _run(lambda: exec(code, main.__dict__))


def run_module(name: str, args: Sequence[str] = (), packages: Iterable[str] = ()) -> None:
    """Run a module, or a package's `__main__`, as `python -m NAME ARGS` does, with TensorFlow 1.

    Its whole package has TensorFlow 1, also where it is installed.

    Args:
      name: of the module, with dots.
      args: its arguments.
      packages: as for `install`.

    Raises:
      HandleNotFoundError: there is no such module.
      InvalidArgumentError: it has no Python code to run.
      SystemExit: as for `run_script`.
    """
    _prepare(os.getcwd(), [*packages, name.partition(".")[0]])
    sys.argv = ["-m", *args]  # what packages see that are imported on the way
    spec = _run(lambda: _find(name))
    if spec is None:
        raise errors.HandleNotFoundError(f"There is no module {name!r} to run, or it is a package without __main__.py.")
    code = _run(lambda: _code(spec))
    if code is None or spec.origin is None:
        raise errors.InvalidArgumentError(f"The module {name!r} has no Python code to run.")
    main = _new_main(spec.origin, spec.loader)
    main.__spec__, main.__package__ = spec, spec.parent
    sys.argv = [spec.origin, *args]
    _run(lambda: exec(code, main.__dict__))


def _read(path: str, file: str) -> bytes:
    try:
        with io.open_code(file) as opened:
            return opened.read()
    except FileNotFoundError:
        raise errors.HandleNotFoundError(f"There is no script {path!r} in {os.getcwd()!r}.") from None
    except IsADirectoryError:
        raise errors.InvalidArgumentError(
            f"{path!r} is a directory. Name the script in it, or run a package with `modhub run -m PACKAGE`."
        ) from None


def _find(name: str) -> ModuleSpec | None:
    """Return where the code of a module or package is; the packages around it are imported."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # a package on the way is there, and lacks something else
        return None
    return spec


def _code(spec: ModuleSpec) -> CodeType | None:
    return spec.loader.get_code(spec.name) if isinstance(spec.loader, InspectLoader) else None


def _prepare(folder: str, packages: Iterable[str]) -> None:
    """Make this process one in which scripts of TensorFlow 1 run, and import from a folder first."""
    atexit.register(_end_as_interrupted)
    install(packages)
    prepare_children()
    # It was the folder of the program `modhub`, or the current one.
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _new_main(file: str, loader: Any) -> ModuleType:
    main = ModuleType("__main__")
    main.__file__, main.__loader__ = file, loader
    main.__dict__["__builtins__"] = builtins
    main.__dict__["__cached__"] = None
    sys.modules["__main__"] = main
    return main


def _run(work: Callable[[], _T]) -> _T:
    """Do something with the script's code; an error of it is shown as Python does, and ends the process."""
    try:
        return work()
    except SystemExit:
        raise
    except BaseException as error:
        show(error)
        _Ending.interrupted = isinstance(error, KeyboardInterrupt)
        raise SystemExit(1) from None


class _Ending:
    """Whether Ctrl-C ended the script."""

    interrupted = False


def _end_as_interrupted() -> None:
    """End the process by SIGINT, as Python does after Ctrl-C, so that a shell's loop around it ends too."""
    if _Ending.interrupted and os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
