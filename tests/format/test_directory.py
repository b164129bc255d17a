from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import modhub
from modhub.errors import CorruptModuleError, ExportError, ExportExistsError, InvalidArgumentError, NotAModuleError
from modhub.format import asset_names, directory, new_module_directory, read_module_def

_WHOLE = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "tfhub_module.pb": b"\x08\x03"}


def _fill(directory: Path) -> None:
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables").mkdir()
    (directory / "variables" / "variables.index").write_bytes(b"index")


def _files(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def _export(target: Path | str) -> None:
    with new_module_directory(target) as partial:
        _fill(partial)


@pytest.mark.parametrize("name", ["module", "a/b/module", "x" * 255, "mödule " + "é" * 120, ".hidden"])
def test_a_module_directory_appears_whole(tmp_path: Path, name: str) -> None:
    _export(str(tmp_path / name))
    assert _files(tmp_path / name) == _WHOLE
    read_module_def(tmp_path / name)
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [(tmp_path / name).name]


def test_a_relative_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _export("module")
    assert _files(tmp_path / "module") == _WHOLE


def test_the_directory_has_the_usual_mode(tmp_path: Path) -> None:
    _export(tmp_path / "module")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "module").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_nothing_is_a_module_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "module"
    with new_module_directory(target) as partial:
        _fill(partial)
        assert not target.exists()
        assert partial.parent == target.parent
        assert partial.name.startswith(".module.")
        assert partial.name.endswith(".partial")
        with pytest.raises(NotAModuleError):
            read_module_def(partial)


@pytest.mark.parametrize("kind", ["directory", "file", "link", "dangling link"])
def test_an_existing_target_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "module"
    if kind == "directory":
        target.mkdir()
        (target / "mine").touch()
    elif kind == "file":
        target.write_bytes(b"mine")
    else:
        if kind == "link":
            (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    before = {path: path.lstat() for path in tmp_path.rglob("*")}
    with pytest.raises(ExportExistsError, match="module' exists; it was left as it is"):
        _export(target)
    assert {path: path.lstat() for path in tmp_path.rglob("*")}.keys() == before.keys()
    assert target.lstat().st_mtime_ns == before[target].st_mtime_ns


def test_a_target_that_appears_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    def race() -> None:
        with new_module_directory(tmp_path / "module"):
            # An empty directory, which a plain rename would replace.
            (tmp_path / "module").mkdir()

    with pytest.raises(ExportExistsError):
        race()
    assert list(tmp_path.rglob("*")) == [tmp_path / "module"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, CorruptModuleError])
def test_an_exception_passes_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with new_module_directory(tmp_path / "made" / "for it" / "module") as partial:
            _fill(partial)
            raise error("mine")

    with pytest.raises(error, match="mine"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_parents_that_others_use_are_kept(tmp_path: Path) -> None:
    def fail() -> None:
        with new_module_directory(tmp_path / "made" / "inner" / "module"):
            (tmp_path / "made" / "other").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.rglob("*")) == [tmp_path / "made", tmp_path / "made" / "other"]


def test_an_error_of_the_system_in_the_block_is_an_export_error(tmp_path: Path) -> None:
    def fail() -> None:
        with new_module_directory(tmp_path / "module"):
            raise OSError(28, "No space left on device", "variables.data")

    with pytest.raises(ExportError, match=r"Cannot write the module '.*module'.*No space left.*Nothing was left"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", ["_write_marker", "_refuse_existing"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error("late")

    def export() -> None:
        with new_module_directory(tmp_path / "made" / "module") as partial:
            _fill(partial)
            monkeypatch.setattr(directory, function, fail)

    with pytest.raises(ExportError if error is OSError else error):
        export()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 256, "file/module", "p" * 256 + "/module", "file/deep/er/module"])
def test_a_path_that_cannot_be_is_an_export_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="Cannot write the module"):
        _export(tmp_path / name)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_forbidden_parent_is_an_export_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ExportError, match="Permission denied"):
        _export(tmp_path / "module")
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
def test_a_path_without_a_name_of_its_own_exists(path: str) -> None:
    with pytest.raises(ExportExistsError):
        _export(path)


def test_a_null_byte_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="is not a path"):
        _export("a\x00b")


_VICTIM = """
import os, signal, sys
from pathlib import Path
from modhub.format import directory

def stop_at(here):
    if here == moment:
        signal.alarm(60)  # should nobody kill it
        os.write(1, b"%d\\n" % os.getpid())
        signal.pause()

def stop_before(name):
    original = getattr(directory, name)
    def stopping(*arguments):
        stop_at(name)
        return original(*arguments)
    setattr(directory, name, stopping)

def rename(self, other):
    # The marker is renamed, too.
    what = "marker" if other.name == "tfhub_module.pb" else "module"
    stop_at(f"before rename of {what}")
    original_rename(self, other)
    stop_at(f"after rename of {what}")


stop_before("_write_marker")
original_rename, Path.rename = Path.rename, rename
# One process for each line: the name of a moment, and where to export to.
for line in sys.stdin:
    moment, target = line.rstrip().split("|")
    victim = os.fork()
    if victim:
        assert os.waitpid(victim, 0)[1] == signal.SIGKILL
        continue
    with directory.new_module_directory(target) as partial:
        stop_at("at first")
        (partial / "saved_model.pb").write_bytes(b"graph")
        stop_at("half way")
        (partial / "variables").mkdir()
        (partial / "variables" / "variables.index").write_bytes(b"index")
    os._exit(1)
"""

_RENAMES = [f"{when} rename of {what}" for what in ("marker", "module") for when in ("before", "after")]
_MOMENTS = ["at first", "half way", "_write_marker", *_RENAMES]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each moment, the folder in which a process was killed while it was making `module`."""
    folders = {moment: tmp_path_factory.mktemp("killed") for moment in _MOMENTS}
    environment = os.environ | {"PYTHONPATH": str(Path(modhub.__file__).parents[1])}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _VICTIM]  # of a fork beside numpy's threads
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, env=environment, **pipes) as forker:
        for moment, folder in folders.items():
            forker.stdin.write(f"{moment}|{folder / 'module'}\n")
            os.kill(int(forker.stdout.readline()), signal.SIGKILL)
    assert forker.returncode == 0
    return folders


@pytest.mark.parametrize("moment", _MOMENTS)
def test_a_killed_export_leaves_all_or_nothing(killed: dict[str, Path], moment: str) -> None:
    (left,) = killed[moment].iterdir()
    assert (left.name == "module") == (moment == "after rename of module")
    assert (left / "tfhub_module.pb").exists() == (moment in _RENAMES[1:])
    if moment in _RENAMES[1:]:
        assert _files(left) == _WHOLE
    # What is left does not stand in the way.
    if left.name != "module":
        _export(killed[moment] / "module")
        assert _files(killed[moment] / "module") == _WHOLE


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([], {}),
        (["a/x.txt", "b/x.txt", "c/x.txt"], {"a/x.txt": "x.txt", "b/x.txt": "x.txt0", "c/x.txt": "x.txt1"}),
        (["a/x", "a/x", "b/x"], {"a/x": "x", "b/x": "x0"}),
        (["a/x0", "a/x", "b/x"], {"a/x0": "x0", "a/x": "x", "b/x": "x1"}),
        (["a/x", "b/x", "c/x0"], {"a/x": "x", "b/x": "x0", "c/x0": "x00"}),
        (["/abs/vocab.txt", "rel.txt", "gs://bucket/a b"], {"/abs/vocab.txt": "vocab.txt", "rel.txt": "rel.txt"}),
    ],
)
def test_assets_get_names_of_their_own(sources: list[str], names: dict[str, str]) -> None:
    assert asset_names(sources).items() >= names.items()
    assert list(asset_names(iter(sources))) == list(dict.fromkeys(sources))


@given(st.lists(st.text("ab01/", min_size=1).filter(lambda path: path[-1] != "/"), max_size=40))
def test_no_two_assets_share_a_name(sources: list[str]) -> None:
    names = asset_names(sources)
    assert len(set(names.values())) == len(names) == len(set(sources))
    assert not any("/" in name for name in names.values())


@pytest.mark.parametrize("source", ["", "a/", "/", "a/..", "."])
def test_an_asset_must_be_a_file(source: str) -> None:
    with pytest.raises(InvalidArgumentError, match="does not name a file"):
        asset_names([source])
