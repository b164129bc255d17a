from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest

import modhub
from modhub import errors
from modhub.cli.commands import COMMANDS
from modhub.cli.failures import describe, next_step, warnings_in_lines
from modhub.cli.group import Command
from modhub.cli.main import cli, main
from tests.cli.command_lines import environment, here, in_a_process


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = "import sys; from modhub.cli import main; main(['--help']); print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    loaded = set(done.stdout.split())
    assert set(COMMANDS) <= loaded  # the names are in the help
    assert not loaded & {entry.module for entry in COMMANDS.values()}
    assert not loaded & {"rich", "numpy", "google.protobuf", "tensorflow", "modhub.format", "importlib.metadata"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_declared_without_what_takes_time_to_import(name: str) -> None:
    code = f"import sys, {COMMANDS[name].module}; print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert not set(done.stdout.split()) & {"rich", "numpy", "google.protobuf", "tensorflow", "modhub.format"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_the_name_help_and_examples_of_the_table(name: str) -> None:
    command = importlib.import_module(COMMANDS[name].module).command
    assert isinstance(command, Command)
    assert command.name == name
    assert all(f"modhub {name}" in line for line in command.examples.strip().splitlines())
    assert COMMANDS[name].help.endswith(".")


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_ends_with_the_examples_as_they_are(capsys: pytest.CaptureFixture[str], name: str, option: str) -> None:
    done = here(capsys, name, option)
    assert done.status == 0
    examples = importlib.import_module(COMMANDS[name].module).command.examples.strip().splitlines()
    assert done.out.rstrip().splitlines()[-len(examples) - 1 :] == ["Examples:", *(f"  {line}" for line in examples)]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert here(capsys, "--version").out == f"modhub {modhub.__version__}\n"


def test_no_command_is_bad_usage_and_shows_the_commands_on_stderr() -> None:
    done = in_a_process()
    assert (done.status, done.out) == (2, "")
    assert "run-signature" in done.err


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["run-signatur"],
            [
                "modhub: There is no command 'run-signatur'. Known commands: "
                f"{', '.join(map(repr, sorted(COMMANDS)))}. Did you mean 'run-signature'?",
                "try: modhub --help",
            ],
        ),
        (["--versoin"], ["modhub: No such option", "try: modhub --help"]),
        (["run-signature"], ["modhub: Missing argument 'PATH'.", "try: modhub run-signature --help"]),
        (["run-signature", ".", "--inptu", "1"], ["modhub: No such option", "try: modhub run-signature --help"]),
        (["run-signature", ".", "--batch-size", "0"], ["modhub: Invalid value", "try: modhub run-signature --help"]),
        (["completion", "tcsh"], ["modhub: Invalid value", "try: modhub completion --help"]),
    ],
)
def test_bad_usage_is_two_lines(capsys: pytest.CaptureFixture[str], words: list[str], lines: list[str]) -> None:
    done = here(capsys, *words)
    assert (done.status, done.out) == (2, "")
    found = done.err.splitlines()
    assert len(found) == 2
    assert found[0].startswith(lines[0])
    assert found[1] == lines[1]


def test_an_error_is_one_line_without_what_acts_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "run-signature", "no\nsuch\x1b[31mmodule")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("modhub: 'no\\nsuch\\x1b[31mmodule' does not exist.")


def test_the_traceback_of_an_error_is_shown_on_demand() -> None:
    done = in_a_process("run-signature", "missing", MODHUB_TRACEBACK="1")
    assert done.status == 1
    assert "Traceback (most recent call last)" in done.err
    assert "HandleNotFoundError" in done.err


def test_an_error_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "make_context", lambda *args: {}["a bug"])
    with pytest.raises(KeyError, match="a bug"):
        main([])


def test_the_exit_status_of_a_command_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cli, "get_command", lambda *_: click.Command("lint", callback=lambda: click.get_current_context().exit(1))
    )
    monkeypatch.setitem(COMMANDS, "lint", COMMANDS["completion"])
    assert main(["lint"]) == 1


def test_a_file_that_may_not_be_read_is_an_expected_error() -> None:
    assert describe(PermissionError(13, "Permission denied", "a.txt")) == ["modhub: a.txt: Permission denied"]
    assert describe(OSError("something else")) is None
    assert describe(ImportError("broken", name="numpy")) is None


def test_the_next_step_is_named_if_there_is_such_a_command() -> None:
    for name, expected in [
        ("completion", ["modhub: wrong", "try: modhub completion 'a b'"]),
        ("none", ["modhub: wrong"]),
    ]:
        error = errors.InvalidInputError("wrong")
        with pytest.raises(errors.InvalidInputError), next_step("run-signature", "x"), next_step(name, "a b"):
            raise error
        lines = describe(error)
        assert lines is not None
        assert lines[: len(expected)] == expected
        assert len(lines) == 2


@pytest.mark.parametrize("args", [["--help"], ["completion", "bash"]])
def test_a_pipe_that_is_closed_ends_a_command_silently(args: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", *args], stdout=write, stderr=subprocess.PIPE, env=environment()
    )
    os.close(write)
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("args", [["--help"], ["lint", "--rules"], ["lint", "--rules", "--json"]])
def test_without_a_stdout_a_command_only_has_its_status(args: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "modhub", *args],
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_stderr_nothing_of_it_is_on_stdout() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "modhub", "inspect", "missing"],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize(
    "args", [["--help"], ["completion", "bash"], ["lint", "--rules"], ["lint", "--rules", "--json"]]
)
def test_a_full_disk_is_said_in_a_line(args: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "modhub", *args], stdout=full, stderr=subprocess.PIPE, env=environment()
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"modhub: stdout cannot be written: No space left on device.")
    assert done.stderr.count(b"\n") == 1


def test_ctrl_c_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    values = tmp_path / "values.jsonl"
    os.mkfifo(values)
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "run-signature", str(tmp_path), "--inputs-from", str(values)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with values.open("wb"):  # waits until the command reads
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_in_lines():
        warnings.simplefilter("always")
        warnings.warn("beware\n  of \x1b[31m this", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "modhub: warning: beware of \\x1b[31m this\n"
