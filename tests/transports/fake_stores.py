"""Object stores on loopback: what gcsfs asks of Google's JSON API, and s3fs of S3's."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from crc32c import crc32c

from tests.transports.fake_server import Answer, Request

BUCKET = "models"


@dataclass(slots=True, kw_only=True)
class Store:
    """One bucket, and how it misbehaves.

    Attributes:
      objects: contents by key.
      sizes: what listings say of a key where that is a lie.
      checksums: likewise.
      etags: what S3 says of a key, where that is no MD5.
      failures: so many requests get status 503 before all is well.
      refusals: the status that any request for a key gets.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, int] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    requests: list[Request] = field(default_factory=list)

    def size(self, key: str) -> int:
        return self.sizes.get(key, len(self.objects[key]))

    def listed(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """Return the keys below a prefix, and the prefixes that end in the next delimiter."""
        keys, prefixes = [], []
        for key in sorted(self.objects):
            if key.startswith(prefix):
                head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                prefixes.append(f"{prefix}{head}/") if found else keys.append(key)
        return keys, sorted(set(prefixes))

    def _fails(self) -> bool:
        self.failures -= 1
        return self.failures >= 0

    def _etag(self, key: str) -> str:
        contents = self.objects[key]
        return f'"{self.etags.get(key) or hashlib.md5(contents, usedforsecurity=False).hexdigest()}"'

    def google(self, request: Request) -> Answer:
        self.requests.append(request)
        if self._fails():
            return _google_error(503)
        is_media = request.path.startswith("/download/")
        path = request.path.removeprefix("/download")
        bucket, _, rest = path.removeprefix("/storage/v1/b/").partition("/")
        key = rest.removeprefix("o").removeprefix("/")
        if key in self.refusals:
            return _google_error(self.refusals[key])
        if bucket != BUCKET:
            return _google_error(404)
        if key:
            if key not in self.objects:
                return _google_error(404)
            if is_media or request.query.get("alt") == "media":
                return Answer(body=self.objects[key], headers={"Content-Type": "application/octet-stream"})
            return _json(self._google_object(key))
        if not rest.startswith("o"):
            return _json({"name": BUCKET, "kind": "storage#bucket"})
        keys, prefixes = self.listed(request.query.get("prefix", ""), request.query.get("delimiter", ""))
        return _json({"items": [self._google_object(found) for found in keys], "prefixes": prefixes})

    def _google_object(self, key: str) -> dict[str, Any]:
        checksum = self.checksums.get(key, crc32c(self.objects[key]))
        return {
            "kind": "storage#object",
            "name": key,
            "bucket": BUCKET,
            "size": str(self.size(key)),
            "crc32c": base64.b64encode(checksum.to_bytes(4, "big")).decode(),
            "etag": "CJ==",
            "updated": "2024-01-01T00:00:00.000Z",
            "timeCreated": "2024-01-01T00:00:00.000Z",
            "generation": "1",
        }

    def amazon(self, request: Request) -> Answer:
        self.requests.append(request)
        if self._fails():
            return _amazon_error(503, "ServiceUnavailable")
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if key in self.refusals:
            return _amazon_error(self.refusals[key], "AccessDenied")
        if bucket != BUCKET:
            return _amazon_error(404, "NoSuchBucket")
        if key:
            if key not in self.objects:
                return _amazon_error(404, "NoSuchKey")
            contents = self.objects[key]
            headers = {"ETag": self._etag(key), "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
            if request.method == "HEAD":
                return Answer(body=bytes(len(contents) if key.startswith("m/") else self.size(key)), headers=headers)
            return Answer(body=contents, headers=headers)
        prefix = request.query.get("prefix", "")
        keys, prefixes = self.listed(prefix, request.query.get("delimiter", ""))
        contents_xml = "".join(
            f"<Contents><Key>{escape(found)}</Key><Size>{self.size(found)}</Size>"
            f"<LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>{self._etag(found)}</ETag></Contents>"
            for found in keys
        )
        prefixes_xml = "".join(
            f"<CommonPrefixes><Prefix>{escape(found)}</Prefix></CommonPrefixes>" for found in prefixes
        )
        body = (
            f"<ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
            f"<KeyCount>{len(keys) + len(prefixes)}</KeyCount>{contents_xml}{prefixes_xml}</ListBucketResult>"
        )
        return Answer(body=body.encode(), headers={"Content-Type": "application/xml"})


def _json(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})


def _google_error(status: int) -> Answer:
    error = {"error": {"code": status, "message": f"refused with {status}", "errors": []}}
    return Answer(status=status, body=json.dumps(error).encode(), headers={"Content-Type": "application/json"})


def _amazon_error(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>refused with {status}</Message></Error>"
    return Answer(status=status, body=body.encode(), headers={"Content-Type": "application/xml"})
