"""`modhub run`: a script runs as with `python SCRIPT`; the one process is compared with the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_lines import Done, environment, here, in_a_process, refusal

SAYS_WHERE_IT_IS = """
import json, sys
main = sys.modules["__main__"]
told = [sys.argv, sys.path[0], __name__, __file__, __package__, __spec__ and __spec__.name, main.__dict__ is globals()]
print(json.dumps(told))
"""

ENDINGS = {
    "well": "print('done')",
    "status": "import sys; print('before'); sys.exit(3)",
    "words": "import sys; sys.exit('words')",
    "error": "def f(x):\n    return 1 / x\n\nf(0)",
    "chained": "try:\n    {}['key']\nexcept KeyError as error:\n    raise RuntimeError('words') from error",
    "inside_another": "try:\n    {}['key']\nexcept KeyError:\n    import not_there",
    "in_an_import": "import broken",
    "no_module": "import importlib\nimportlib.import_module('not_there')",
    "syntax": "x = 1\nx = = 2",
    "syntax_in_an_import": "import bad_syntax",
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "excepthook": "import sys\nsys.excepthook = lambda *error: print('hook', error[1])\n1 / 0",
    "in_a_thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start(); t.join()",
    "atexit": "import atexit\natexit.register(print, 'at exit')\n1 / 0",
    "warning": "import warnings\nwarnings.warn('words')\nwarnings.warn('older', DeprecationWarning)",
    "coding": "# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))",
    "future": "from __future__ import annotations\nx: not_there = 1\nprint(x)",
    "stdin": "print(input())",
    "os_exit": "import os\nos._exit(5)",
    "own_error": "from modhub import errors\nraise errors.HandleNotFoundError('words of the script')",
    "interrupted": "raise KeyboardInterrupt",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a script, and what it may import."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "bad_syntax.py").write_text("x = = 2\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "script.py").write_text(SAYS_WHERE_IT_IS)
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__.py", "broken.py"):
        (package / name).touch()
    (package / "__main__.py").write_text(SAYS_WHERE_IT_IS)
    (package / "module.py").write_text(SAYS_WHERE_IT_IS)
    (tmp_path / "hollow").mkdir()
    return tmp_path


def python(*args: str, given: bytes = b"") -> Done:
    """Run Python itself."""
    done = subprocess.run([sys.executable, *args], input=given, capture_output=True, env=environment())
    return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_prints_and_ends_as_with_python(folder: Path, ending: str) -> None:
    (folder / "script.py").write_text(ENDINGS[ending], encoding="latin-1")
    found = in_a_process("run", "script.py", given=b"a line\n")
    assert found == python("script.py", given=b"a line\n")


@pytest.mark.parametrize(
    "words",
    [
        ("below/script.py", "a", "--flag", "--help", "-m"),
        ("./below/../below/script.py",),
        ("-m", "package", "a", "--help"),
        ("-m", "package.module"),
        ("-m", "below.script"),
    ],
    ids=" ".join,
)
def test_a_script_finds_itself_where_python_puts_it(folder: Path, words: tuple[str, ...]) -> None:
    found = in_a_process("run", *words)
    assert found == python(*words)
    assert found.status == 0


def test_a_script_elsewhere_imports_what_is_beside_it(folder: Path) -> None:
    (folder / "below" / "beside.py").write_text("print('beside')\n")
    (folder / "below" / "importing.py").write_text("import beside\n")
    assert in_a_process("run", str(folder / "below" / "importing.py")).out == "beside\n"


def test_a_link_to_a_script_imports_what_is_beside_the_script(folder: Path) -> None:
    (folder / "link.py").symlink_to(folder / "below" / "script.py")
    assert in_a_process("run", "link.py") == python("link.py")


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_ends_the_process_by_the_signal_after_its_cleanup(folder: Path) -> None:
    (folder / "script.py").write_text(
        "import atexit, time\natexit.register(print, 'cleaned up')\nprint('started', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "run", "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (-signal.SIGINT, "cleaned up\n")
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("KeyboardInterrupt\n")
    assert "modhub" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("not_there.py",), "There is no script 'not_there.py' in "),
        (
            ("package",),
            "'package' is a directory. Name the script in it, or run a package with `modhub run -m ",
        ),
        (("-m", "not_there"), "There is no module 'not_there' to run"),
        (("-m", "package.not_there"), "There is no module 'package.not_there' to run"),
        (("-m", "not_there.module"), "There is no module 'not_there.module' to run"),
        (("-m", "below"), "There is no module 'below' to run, or it is a package without __main__.py."),
        (("-m", "sys"), "The module 'sys' has no Python code to run."),
        ((), "Missing argument 'SCRIPT'."),
        (("--flag", "script.py"), "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_run_is_said_in_a_line(folder: Path, words: tuple[str, ...], says: str) -> None:
    assert says in refusal(in_a_process("run", *words))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("print 'old'", "the file is to be converted"),
        ("exec 'x = 1'", "the file is to be converted"),
        ("try:\n    pass\nexcept ValueError, e:\n    pass", "the file is to be converted"),
        ("raise ValueError, 'old'", "the file is to be converted"),
        ("x = 0777", "the file is to be converted"),
        ("x = 1 <> 2", "the file is to be converted"),
        ("x = ur'old'", "the file is to be converted"),
        ("x = `1`", "the file is to be converted"),
        ("for i in xrange(3): pass", "xrange is range now."),
        ("unicode('x')", "unicode is str now."),
        ("{}.iteritems()", ".iteritems() is items now."),
        ("{}.has_key(1)", ".has_key() is in now."),
        ("import cPickle", "the module cPickle is pickle now."),
        ("from urlparse import urljoin", "the module urlparse is urllib.parse now."),
    ],
    ids=lambda value: value.split("\n")[-1] if isinstance(value, str) else "",
)
def test_a_script_for_python_2_is_told_so(folder: Path, source: str, says: str) -> None:
    (folder / "script.py").write_text(source)
    done = in_a_process("run", "script.py")
    assert done.status == 1
    assert done.err.splitlines()[-1] == f"modhub: this was written for Python 2: {says}" or says in done.err
    assert python("script.py").err == "".join(done.err.partition("modhub: ")[:1])


def test_frames_of_modhub_are_shown_on_request(folder: Path) -> None:
    (folder / "script.py").write_text("1 / 0\n")
    assert "running.py" in in_a_process("run", "script.py", MODHUB_TRACEBACK="1").err


def test_the_help_tells_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "run", "--help")
    assert done.status == 0
    assert "Usage: modhub run [OPTIONS] SCRIPT [ARGS]..." in done.out
    assert "--package NAME" in done.out
