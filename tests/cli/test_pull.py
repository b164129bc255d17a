from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import modhub
from modhub import cache
from modhub.cache.names import key_of
from modhub.settings import current
from tests.cli.command_lines import environment, in_a_process, refusal
from tests.cli.module_server import FILES, ModuleServer, archive, module_server

Command = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache; its path has a space in it. The current directory is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "the cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "the cache"


@pytest.fixture
def server(place: Path) -> Iterator[ModuleServer]:
    with module_server() as running:
        yield running


def files_of(path: str) -> dict[str, bytes]:
    return {name: Path(path, name).read_bytes() for name in FILES}


def test_the_paths_are_on_stdout_and_the_progress_is_not(server: ModuleServer, place: Path) -> None:
    handles = [server.url("a/1"), server.url("b/1")]
    done = in_a_process("pull", *handles)
    assert done.status == 0
    assert done.out.splitlines() == [str(place / key_of(handle)) for handle in handles]
    assert [line.split()[1] for line in done.err.splitlines() if line.startswith("Fetching")] == [
        f"{handle}" for handle in handles
    ]
    assert all(files_of(path) == FILES for path in done.out.splitlines())
    again = in_a_process("pull", *handles)
    assert (again.out, again.err) == (done.out, "")
    assert server.asked == ["/a/1", "/b/1"]


def test_quiet_says_nothing_on_stderr(command: Command, server: ModuleServer) -> None:
    done = command("pull", "--quiet", server.url("a/1"))
    assert (done.status, done.err) == (0, "")


def test_one_that_fails_does_not_hide_the_others(command: Command, server: ModuleServer, place: Path) -> None:
    good, missing = server.url("a/1"), server.url("missing/1")
    done = command("pull", "-q", missing, good, "./nowhere")
    assert (done.status, done.out) == (2, f"{place / key_of(good)}\n")
    first, second = (line for line in done.err.splitlines() if line.startswith("modhub: "))
    assert missing in first
    assert "404" in first
    assert "'./nowhere' does not exist" in second


def test_json(command: Command, server: ModuleServer, place: Path) -> None:
    good, missing = server.url("a/1"), server.url("missing/1")
    done = command("pull", "-q", "--json", good, missing)
    found = json.loads(done.out)
    assert done.status == 2
    sha256 = cache.info(good).sha256
    assert found["modules"] == [{"handle": good, "path": str(place / key_of(good)), "sha256": sha256}]
    assert [each["handle"] for each in found["unreadable"]] == [missing]
    assert command("pull", "-q", "--json", missing).out == ""


def test_paths_are_handles_too(command: Command, place: Path) -> None:
    Path("module").mkdir()
    Path("module.tar.gz").write_bytes(archive())
    done = command("pull", "module", "module.tar.gz")
    directory, unpacked = done.out.splitlines()
    assert (done.status, directory) == (0, os.path.abspath("module"))
    assert Path(unpacked).parent == place
    assert files_of(unpacked) == FILES


def test_verify_fetches_again_what_is_damaged(command: Command, server: ModuleServer) -> None:
    handle = server.url("a/1")
    path = Path(command("pull", handle).out.strip(), "assets/words.txt")
    status = path.stat()
    path.write_bytes(b"a\nc\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert command("pull", handle).status == 0
    assert path.read_bytes() == b"a\nc\n"  # neither the size nor the time tells
    assert command("pull", "--verify", handle).status == 0
    assert path.read_bytes() == FILES["assets/words.txt"]
    assert server.asked == ["/a/1"] * 2


def test_offline_finds_what_is_in_the_cache(command: Command, server: ModuleServer) -> None:
    assert command("pull", server.url("a/1")).status == 0
    done = command("pull", "--offline", server.url("a/1"), server.url("b/1"))
    assert (done.status, done.out.count("\n")) == (2, 1)
    line, hint = done.err.splitlines()
    assert server.url("b/1") in line
    assert hint == "try: modhub cache ls"
    assert server.asked == ["/a/1"]


def test_a_lock_file_is_made_and_holds(command: Command, server: ModuleServer) -> None:
    handle, other = server.url("a/1"), server.url("b/1")
    done = command("pull", "-q", "--lock", handle)
    assert (done.status, done.err) == (0, "")
    digest = cache.info(handle).sha256
    assert json.loads(Path("modhub.lock").read_text())["modules"] == {handle: {"sha256": digest}}
    Path("modhub.lock").write_text(json.dumps({"version": 1, "modules": {other: {"sha256": "5" * 64}}}))
    line = refusal(command("pull", "-q", "--lock", other))
    assert "5" * 64 in line
    assert command("pull", "-q", handle, "--lock").status == 0
    assert set(json.loads(Path("modhub.lock").read_text())["modules"]) == {handle, other}


def test_the_lock_file_can_be_named(command: Command, server: ModuleServer, tmp_path: Path) -> None:
    handle = server.url("a/1")
    target = tmp_path / "other.lock"
    assert command("pull", "-q", f"--lock={target}", f"{handle}#sha256={'0' * 64}").status == 2
    assert command("pull", "-q", f"--lock={target}", handle).status == 0
    assert set(json.loads(target.read_text())["modules"]) == {handle}
    digest = cache.info(handle).sha256
    assert command("pull", "-q", "--lock", f"{handle}#sha256={digest}").status == 0
    assert set(json.loads(Path("modhub.lock").read_text())["modules"]) == {handle}


def test_a_required_lock_does_not_keep_from_locking(
    command: Command, server: ModuleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODHUB_REQUIRE_LOCK", "1")
    assert command("pull", "-q", "--lock", server.url("a/1")).status == 0
    assert command("pull", "-q", server.url("a/1")).status == 0


def test_a_path_is_not_locked_and_that_is_said(command: Command, place: Path) -> None:
    Path("module").mkdir()
    done = command("pull", "--lock", "module")
    assert (done.status, done.out) == (0, f"{os.path.abspath('module')}\n")
    assert "was not locked" in done.err
    assert not Path("modhub.lock").exists()


def test_a_directory_of_a_mirror_is_locked_by_its_files(command: Command, server: ModuleServer, tmp_path: Path) -> None:
    handle = server.url("a/1")
    path = command("pull", "-q", "--lock=one.lock", handle).out.strip()
    target = tmp_path / "mirror" / "a" / "1"
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(Path(path, name).read_bytes())
    mirror = f"{server.url('')}={tmp_path / 'mirror'}/"
    cache.remove(handle)
    done = command("pull", "-q", "--lock=two.lock", "--mirror", mirror, handle)
    assert (done.status, done.out.strip()) == (0, str(target))
    assert Path("one.lock").read_bytes() == Path("two.lock").read_bytes()


def test_mirrors_of_the_command_line_come_before_others(
    command: Command, server: ModuleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODHUB_MIRRORS", f"https://example.com/={server.url('configured/')}")
    options = [f"--mirror=https://example.com/={server.url(name)}" for name in ("missing/", "given/")]
    assert command("pull", "-q", *options, "https://example.com/a/1").status == 0
    assert command("pull", "-q", options[0], "https://example.com/b/1").status == 0
    assert server.asked == ["/missing/a/1", "/given/a/1", "/missing/b/1", "/configured/b/1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing argument 'HANDLE...'"),
        (["--mirror", "https://tfhub.dev/", "x"], "is not PREFIX=TARGET"),
        (["--mirror", "=x", "x"], "is not PREFIX=TARGET"),
        (["--cache-dir", "gs://bucket/x", "x"], "it is a URL"),
        (["https://example.com/x#sha256=12"], "64 hexadecimal digits"),
        ([""], "empty"),
        (["noscheme://x"], "Known schemes"),
        (["no\nsuch\x1b[31m module"], "no\\nsuch\\x1b[31m module"),
    ],
)
def test_what_cannot_be_pulled_is_said(command: Command, place: Path, words: list[str], says: str) -> None:
    assert says in refusal(command("pull", *words))


def test_options_hold_for_one_command(command: Command, server: ModuleServer, tmp_path: Path, place: Path) -> None:
    before = current()
    other = tmp_path / "other"
    done = command("pull", "-q", "--cache-dir", other, "--offline", "--mirror", "a://=b://", server.url("a/1"))
    assert (done.status, current()) == (2, before)
    done = command("pull", "-q", "--cache-dir", other, server.url("a/1"))
    assert Path(done.out.strip()).parent == other
    assert current() == before
    assert not place.exists()


def test_a_cache_that_cannot_be_written_is_said(command: Command, server: ModuleServer, place: Path) -> None:
    place.write_bytes(b"")
    line = refusal(command("pull", "-q", server.url("a/1")))
    assert str(place) in line
    assert "TFHUB_CACHE_DIR" in line


def test_a_cache_that_is_read_only_serves_what_it_has(command: Command, server: ModuleServer, place: Path) -> None:
    assert command("pull", server.url("a/1")).status == 0
    place.chmod(0o555)
    if os.access(place, os.W_OK):
        pytest.skip("this user may write everywhere")
    try:
        assert command("pull", server.url("a/1")).status == 0
        assert "cannot be written" in refusal(command("pull", server.url("b/1")))
    finally:
        place.chmod(0o755)


def test_without_a_network_the_host_is_named(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_RETRIES", "0")
    assert "modules.invalid" in refusal(command("pull", "-q", "https://modules.invalid/a/1"))


def test_ctrl_c_stops_a_download_and_the_next_one_goes_through(server: ModuleServer, place: Path) -> None:
    handle = server.url("slow/1")
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "pull", "-q", handle],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert server.hanging.wait(30)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")
    assert cache.entries() == []
    server.ended.set()
    assert not list(place.glob("*.lock"))
    mirror = f"{handle}={server.url('fast/1')}"
    assert in_a_process("pull", "-q", "--mirror", mirror, handle).status == 0
    assert files_of(modhub.resolve(handle)) == FILES


def test_a_closed_pipe_ends_it_silently(server: ModuleServer) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "pull", "-q", server.url("a/1")],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(write)
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")


def test_a_path_that_is_no_text_reaches_a_program_as_it_is(server: ModuleServer, tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/\xff cache"
    done = subprocess.run(
        [sys.executable, "-m", "modhub", "pull", "-q", server.url("a/1")],
        capture_output=True,
        env={**environment(), "TFHUB_CACHE_DIR": os.fsdecode(directory)},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.path.dirname(done.stdout.rstrip(b"\n")) == directory


def test_nothing_heavy_is_imported_for_what_is_in_the_cache(server: ModuleServer) -> None:
    assert in_a_process("pull", server.url("a/1")).status == 0
    heavy = {"requests", "rich", "numpy", "tensorflow", "http.client", "ssl", "importlib.metadata"}
    code = (
        f"import sys; from modhub.cli import main; main(['pull', sys.argv[1]]);print(*({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.url("a/1")], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout.splitlines()[1:] == [""]
