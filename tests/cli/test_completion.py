from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_lines import environment, in_a_process


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with the command as an installation has it."""
    script = tmp_path / "bin" / "modhub"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modhub "$@"\n')
    script.chmod(0o755)
    return script.parent


def shell(name: str, script: str, bin_folder: Path) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    path = f"{bin_folder}:{environment().get('PATH', '')}"
    done = subprocess.run(
        [found, "-c", script], capture_output=True, text=True, env=environment(PATH=path), cwd=bin_folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["modhub", "run"], ["run", "run-signature"]),
        (["modhub", "completion", ""], ["bash", "zsh", "fish"]),
        (["modhub", "run-signature", "x", "--inp"], ["--input", "--inputs-from"]),
        (["modhub", "--ver"], ["--version"]),
    ],
)
def test_bash_completes(bin_folder: Path, words: list[str], expected: list[str]) -> None:
    script = f"""
eval "$(modhub completion bash)"
complete -p modhub >/dev/null || exit 3
COMP_WORDS=({" ".join(f'"{word}"' for word in words)})
COMP_CWORD={len(words) - 1}
_modhub_completion modhub
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    assert shell("bash", script, bin_folder).split() == expected


def test_zsh_takes_the_script(bin_folder: Path) -> None:
    script = 'autoload -U compinit; compinit -u; eval "$(modhub completion zsh)"; print -- $_comps[modhub]'
    assert shell("zsh", script, bin_folder).split() == ["_modhub_completion"]


def test_fish_completes(bin_folder: Path) -> None:
    script = "modhub completion fish | source; complete --do-complete 'modhub run'"
    assert "run-signature" in shell("fish", script, bin_folder)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_needs_no_shell_to_be_printed(name: str, tmp_path: Path) -> None:
    done = in_a_process("completion", name, PATH=str(tmp_path))
    assert (done.status, done.err) == (0, "")
    assert f"_MODHUB_COMPLETE={name}_complete" in done.out
