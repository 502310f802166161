"""A hub of the test's own: the few routes that huggingface_hub asks, with ranges, and a line that can break."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "c0ffee" * 6 + "c0ff"
LARGE = 1000
"""From so many bytes on a file is a large one, with a SHA-256."""


class Hub:
    """Serves `files` of one repository. After `limit` bytes of one answer the line goes dead. `wrong` are files whose
    bytes are not those that the hub's hash is of. `asked` are (method, path, Range) of all requests."""

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        self.repo, self.files = repo, files
        self.limit: int | None = None
        self.wrong: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def listing(self) -> dict[str, Any]:
        return {
            "_id": "1",
            "id": self.repo,
            "sha": REVISION,
            "siblings": [_sibling(name, data) for name, data in self.files.items()],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append(("GET", path, self.headers.get("Range")))
                resolve = f"/{hub.repo}/resolve/{REVISION}/"
                if path.startswith(f"/api/models/{hub.repo}"):
                    self._answer(200, json.dumps(hub.listing()).encode(), "application/json")
                elif path.startswith(resolve) and path.removeprefix(resolve) in hub.files:
                    self._file(path.removeprefix(resolve))
                else:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "RepoNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def _file(self, name: str) -> None:
                data = hub.files[name]
                if name in hub.wrong:
                    data = bytes(255 - byte for byte in data)
                asked = self.headers.get("Range")
                first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
                self._answer(206 if asked else 200, data[first:], "application/octet-stream", first, len(data))

            def _answer(self, status: int, data: bytes, kind: str, first: int = 0, whole: int = 0) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                if status == 206:
                    self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
                self.end_headers()
                if hub.limit is not None and kind != "application/json":
                    self.wfile.write(data[: hub.limit])
                    if len(data) > hub.limit:
                        self.wfile.flush()
                        hub.closing.wait(60)
                else:
                    self.wfile.write(data)

        return Handler


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    large = {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}}
    return {"rfilename": name, "size": len(data), "blobId": git, **(large if len(data) >= LARGE else {})}
