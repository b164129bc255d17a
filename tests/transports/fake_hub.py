"""A Hugging Face hub on loopback: what huggingface_hub asks of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field

from tests.transports.fake_server import Answer, Request

REPOSITORY = "google/nnlm"
COMMIT = "a" * 40


@dataclass(slots=True, kw_only=True)
class Hub:
    """One repository of one commit.

    Attributes:
      files: its contents.
      sizes: what the listing says of a file where that is a lie.
      hidden: files that are listed and not there.
      revisions: the names of the commit.
      refusal: the status, and the code of the hub for it, that every answer then has.
      cut: whether the contents of files end early.
      is_endless: whether the listing is of directories, and never ends.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    revisions: set[str] = field(default_factory=lambda: {"main", "v1/b", COMMIT})
    refusal: tuple[int, str] | None = None
    cut: bool = False
    is_endless: bool = False
    requests: list[Request] = field(default_factory=list)

    def respond(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.refusal is not None:
            return _error(*self.refusal)
        if found := re.fullmatch(rf"/api/models/{REPOSITORY}(?:/revision/(.+))?", request.path):
            if (found[1] or "main") not in self.revisions:
                return _error(404, "RevisionNotFound")
            return _json({"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]})
        if found := re.fullmatch(rf"/api/models/{REPOSITORY}/tree/{COMMIT}/?(.*)", request.path):
            return self._directories(request) if self.is_endless else self._tree(found[1])
        if found := re.fullmatch(rf"/{REPOSITORY}/resolve/{COMMIT}/(.+)", request.path):
            return self._file(found[1])
        return _error(404, "RepoNotFound")

    def _tree(self, folder: str) -> Answer:
        names = [name for name in self.files if not folder or name.startswith(f"{folder}/")]
        if not names:
            return _error(404, "EntryNotFound")
        folders = sorted({name.rpartition("/")[0] for name in names} - {""})
        return _json(
            [{"type": "directory", "path": above, "oid": "0" * 40, "size": 0} for above in folders]
            + [
                {"type": "file", "path": name, "oid": "0" * 40, "size": self.sizes.get(name, len(self.files[name]))}
                for name in names
            ]
        )

    def _directories(self, request: Request) -> Answer:
        page = len(self.requests)
        body = [{"type": "directory", "path": f"d{page}", "oid": "0" * 40, "size": 0}]
        link = f'<http://{request.headers["host"]}{request.path}?cursor={page}>; rel="next"'
        return Answer(body=json.dumps(body).encode(), headers={"Content-Type": "application/json", "Link": link})

    def _file(self, name: str) -> Answer:
        if name not in self.files or name in self.hidden:
            return _error(404, "EntryNotFound")
        contents = self.files[name]
        tag = hashlib.sha1(contents, usedforsecurity=False).hexdigest()
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.cut:
            return Answer(body=contents[:-1], headers=headers, length=len(contents))
        return Answer(body=contents, headers=headers)


def _json(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})


def _error(status: int, code: str) -> Answer:
    headers = {"Content-Type": "application/json", "X-Error-Code": code, "X-Error-Message": code}
    return Answer(status=status, body=b'{"error": "refused"}', headers=headers)
