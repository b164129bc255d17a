"""Kaggle on loopback: what kagglehub asks of its API, reached as a proxy, since kagglehub knows only Kaggle's hosts."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field

from tests.transports.fake_job import archive_of
from tests.transports.fake_server import Answer, Request

SERVICE = "/api/v1/models.ModelApiService/"
MOST_LISTED = 25


@dataclass(slots=True, kw_only=True)
class Kaggle:
    """One model, by its versions.

    Attributes:
      versions: the files of each.
      refusal: a status that every answer then has.
      cut: whether the contents of files end early.
      bad_md5: whether the digests that are sent are those of something else.
    """

    versions: dict[int, dict[str, bytes]] = field(default_factory=dict)
    refusal: int | None = None
    cut: bool = False
    bad_md5: bool = False
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def respond(self, request: Request) -> Answer:
        call = request.path.rpartition(SERVICE)[2]
        body = json.loads(request.body or b"{}")
        self.asked.append((call, body))
        if self.refusal is not None:
            return _json({"code": self.refusal, "message": "Permission denied"}, self.refusal)
        if (body["ownerSlug"], body["modelSlug"], body["instanceSlug"]) != ("google", "nnlm", "en-dim50"):
            return _json({"code": 404, "message": "Not found"}, 404)
        if call == "GetModelInstance":
            return _json({"versionNumber": max(self.versions)})
        files = self.versions.get(body["versionNumber"])
        if files is None:
            return _json({"code": 404, "message": "Not found"}, 404)
        if call == "ListModelInstanceVersionFiles":
            names = sorted(files)
            more = "more" if len(names) > MOST_LISTED else ""
            return _json({"files": [{"name": name} for name in names[:MOST_LISTED]], "nextPageToken": more})
        contents = files[body["path"]] if "path" in body else archive_of(files)
        digest = hashlib.md5(b"" if self.bad_md5 else contents, usedforsecurity=False).digest()
        headers = {
            "Content-Type": "application/octet-stream",
            "x-goog-hash": f"md5={base64.b64encode(digest).decode()}",
        }
        if self.cut:
            return Answer(body=contents[:-1], headers=headers, length=len(contents))
        return Answer(body=contents, headers=headers)


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})
