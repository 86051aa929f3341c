#!/usr/bin/env python3
"""What pull and push are tested against: Hugging Face, a CDN on another host, a registry.

pull_server.py FOLDER writes FOLDER/ports ("MAIN CDN") when it listens, with TLS by FOLDER/cert.pem
and key.pem, and each request as a line of FOLDER/log: host, method, path, Range, Authorization,
status, bytes of the body that were sent.

FOLDER/hf/REPO/...       files of the repository anybody/REPO
FOLDER/reg/REPO/TAG      manifests of a registry
FOLDER/blobs/HEX         blobs of it

What goes wrong is in the name of REPO, see `moods`.
"""
import base64
import collections
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

root = sys.argv[1]
counts = collections.Counter()
lock = threading.Lock()
uploads = {}
tokens = {}


def count(key):
    """How often it was asked for before."""
    with lock:
        counts[key] += 1
        return counts[key] - 1


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status, sent):
        line = " ".join([self.headers.get("Host", "-"), self.command, self.path,
                         self.headers.get("Range", "-").replace("bytes=", ""),
                         self.headers.get("Authorization", "-").replace(" ", "_"),
                         str(status), str(sent)])
        with lock, open(root + "/log", "a") as f:
            f.write(line + "\n")

    def answer(self, status, body=b"", **headers):
        self.note(status, len(body))
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    @property
    def main(self):
        return f"localhost:{ports[0]}"

    @property
    def cdn(self):
        return f"127.0.0.1:{ports[1]}"

    # ---- files in ranges, with what can go wrong ----

    def send_file(self, repo, data):
        nth = count(repo)
        size = len(data)
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(m[1]), min(int(m[2]), size - 1)) if m else (0, size - 1)
        ranged = m and "norange" not in repo
        if "limit" in repo and nth < 2:
            return self.answer(429, b"slow down", Retry_After="1")
        if "broken" in repo and nth < 2:
            return self.answer(500 + 3 * nth, b"{}")
        if "expired" in repo and nth < 2:
            return self.answer(403, b"signature expired")
        if "gone" in repo:
            return self.answer(404, b"")
        if "wrong" in repo and (nth == 0 or "always" in repo):
            data = data[:first] + bytes([data[first] ^ 1]) + data[first + 1:]
        part = data[first:last + 1] if ranged else data
        told = size + 10 if "lying" in repo else size
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{last}/{told}")
            self.send_header("Content-Length", str(len(part)))
        else:
            self.send_header("Content-Length", str(told))
        self.end_headers()
        sent = 0
        end = len(part)
        if "cut" in repo:
            end = min(end, 1000003)
        try:
            while sent < end:
                n = min(64 << 10, end - sent)
                self.wfile.write(part[sent:sent + n])
                sent += n
                if "slow" in repo:
                    time.sleep(0.02)
                if "stall" in repo and nth < 1 and sent > 200000:
                    time.sleep(3)
                    end = sent
        except OSError:
            pass
        self.note(206 if ranged else 200, sent)
        if sent < len(part):
            self.hang_up()

    # ---- Hugging Face ----

    def tree(self, repo, query):
        files = []
        top = f"{root}/hf/{repo}"
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                data = open(path, "rb").read()
                e = {"type": "file", "path": os.path.relpath(path, top), "size": len(data)}
                if len(data) > 50000:
                    e["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 133}
                else:
                    head = b"blob %d\0" % len(data)
                    e["oid"] = hashlib.sha1(head + data).hexdigest()
                files.append(e)
        if "evil" in repo:
            for e in files:
                if "lfs" in e:
                    e["lfs"]["oid"] = "../" * 20 + "etc"
        files.append({"type": "directory", "path": "folder", "oid": "0" * 40, "size": 0})
        files.sort(key=lambda e: e["path"])
        if "paged" in repo:
            at = int(query.get("cursor", ["0"])[0])
            more = {}
            if at + 2 < len(files):
                url = f"https://{self.main}{urlsplit(self.path).path}?recursive=1&cursor={at + 2}"
                more = {"Link": f'<{url}>; rel="next"'}
            return self.answer(200, json.dumps(files[at:at + 2]).encode(), **more)
        self.answer(200, json.dumps(files).encode())

    # ---- the registry ----

    def challenge(self, repo):
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}',
                    WWW_Authenticate=f'Bearer realm="https://{self.main}/token?x=1",service="reg",'
                                     f'scope="repository:me/{repo}:pull"')

    def allowed(self, repo):
        if "private" not in repo:
            return True
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with lock:
            left = tokens.get(token, 0)
            tokens[token] = left - 1
        return left > 0

    def token(self, query):
        who = self.headers.get("Authorization", "")
        if os.path.exists(root + "/public.pem"):  # only for whom has the key
            public, signature = (who + ":").split(":")[:2]
            url = f"https://{self.main}{self.path}"
            nothing = base64.b64encode(sha256(b"").encode()).decode()
            with open(root + "/signed", "w") as f:
                f.write(f"GET,{url},{nothing}")
            with open(root + "/signature", "wb") as f:
                f.write(base64.b64decode(signature))
            ok = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey",
                                 root + "/public.pem", "-in", root + "/signed", "-sigfile",
                                 root + "/signature"], capture_output=True).returncode == 0
            fresh = abs(time.time() - int(query.get("ts", ["0"])[0])) < 60 and query.get("nonce")
            if not ok or not fresh or not base64.b64decode(public).startswith(b"\0\0\0\x0bssh-ed"):
                return self.answer(401, b'{"error":"bad signature"}')
        token = f"t{count('token')}"
        tokens[token] = 3  # requests that it is good for
        self.answer(200, json.dumps({"token": token}).encode())

    def registry(self, repo, rest):
        if not self.allowed(repo):
            self.body()
            return self.challenge(repo)
        if rest.startswith("manifests/"):
            path = f"{root}/reg/{repo}/{rest[10:]}"
            if self.command == "PUT":
                os.makedirs(os.path.dirname(path), exist_ok=True)
                open(path, "wb").write(self.body())
                return self.answer(201)
            if not os.path.exists(path):
                return self.answer(404, b'{"errors":[{"message":"manifest unknown"}]}')
            data = open(path, "rb").read()
            headers = {"Docker_Content_Digest": "sha256:" + "0" * 64} if "forged" in repo else {}
            return self.answer(200, data, **headers)
        if rest.startswith("blobs/uploads"):
            self.body()
            number = str(count("upload"))
            uploads[number] = []
            return self.answer(202, Location=f"/upload/{repo}/{number}")
        path = f"{root}/blobs/{rest.removeprefix('blobs/sha256:')}"
        if not os.path.exists(path):
            return self.answer(404)
        if self.command == "HEAD":
            return self.answer(200)
        if "cdn" in repo:
            return self.answer(307, Location=f"https://{self.cdn}/blob/{repo}/{os.path.basename(path)}")
        self.send_file(repo, open(path, "rb").read())

    def upload(self, repo, number, query):
        parts = uploads[number]
        done = sum(map(len, parts))
        if self.command == "GET":
            return self.answer(204, Range=f"0-{max(done - 1, 0)}")
        if self.command == "PATCH":
            size = int(self.headers["Content-Length"])
            first = int(self.headers["Content-Range"].split("-")[0])
            if first != done:
                self.body()
                return self.answer(416, Range=f"0-{done - 1}")
            if "redirect" in repo and self.headers.get("X-Redirect-Uploads"):
                self.body()
                n = count("stored")
                return self.answer(307, Location=f"https://{self.cdn}/store/{number}/{n}",
                                   Docker_Upload_Location=f"/upload/{repo}/{number}")
            if "flaky" in repo and count(repo) < 2:
                parts.append(self.rfile.read(size // 2))
                self.note(0, 0)
                return self.hang_up()
            parts.append(self.body())
            return self.answer(202, Location=f"/upload/{repo}/{number}")
        self.body()
        data = b"".join(parts)
        digest = query["digest"][0].removeprefix("sha256:")
        md5 = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
        if sha256(data) != digest or ("redirect" in repo and
                                      query["etag"] != [f"{md5}-{len(parts)}"]):
            return self.answer(400, b'{"errors":[{"message":"digest invalid"}]}')
        os.makedirs(root + "/blobs", exist_ok=True)
        open(f"{root}/blobs/{digest}", "wb").write(data)
        self.answer(201)

    # ---- all of it ----

    def handle_one(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        p = unquote(url.path).strip("/").split("/")
        if self.server.server_port == ports[1]:  # the CDN
            if p[0] == "store":
                uploads[p[1]].append(self.body())
                return self.answer(200, ETag="x")
            folder = f"hf/{p[1]}" if p[0] == "cdn" else "blobs"
            return self.send_file(p[1], open(f"{root}/{folder}/{'/'.join(p[2:])}", "rb").read())
        if p[0] == "token":
            return self.token(query)
        if p[0] == "v2":
            return self.registry(p[2], "/".join(p[3:]))
        if p[0] == "upload":
            return self.upload(p[1], p[2], query)
        repo = p[3] if p[0] == "api" else p[1]
        if "gated" in repo and self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, b'{"error":"Invalid username or password."}')
        if not os.path.isdir(f"{root}/hf/{repo}"):
            return self.answer(404, b'{"error":"Repository not found"}')
        if p[0] == "api":
            return self.tree(repo, query)
        name = "/".join(p[4:])
        path = f"{root}/hf/{repo}/{name}"
        if os.path.getsize(path) <= 50000:
            return self.answer(200, open(path, "rb").read())
        self.answer(302, Location=f"https://{self.cdn}/cdn/{repo}/{name}?signature=1")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_one


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self):
        s, address = super().get_request()
        s.settimeout(20)
        return context.wrap_socket(s, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *args):  # clients that leave are what is tested
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*args)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(root + "/cert.pem", root + "/key.pem")
servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
ports = [s.server_port for s in servers]
for s in servers:
    threading.Thread(target=s.serve_forever, daemon=True).start()
with open(root + "/ports.new", "w") as f:
    f.write("%d %d\n" % tuple(ports))
os.rename(root + "/ports.new", root + "/ports")
while True:  # ends with who started it
    time.sleep(0.5)
    if os.getppid() == 1:
        break
