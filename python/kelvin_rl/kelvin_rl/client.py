"""Calls to `kelvin serve`, with the standard library alone."""

import http.client
import json
import os
import threading
import time
import urllib.parse

RETRIED = (503, 504)
"""Statuses of a server that is full or late: the call may be made again."""

BATCH_MAX = 256
"""Answers in one call; the server's own limit is `--batch-max`."""


class KelvinError(RuntimeError):
    """There is no verdict: the server is not there, refused the call, or is broken."""


class Client:
    """A server at `url`. The key is read from KELVIN_API_KEY where none is given. Threads may share a client."""

    def __init__(self, url="http://127.0.0.1:8080", key=None, timeout_s=180.0, tries=6):
        self.url = url.rstrip("/")
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a server, such as http://127.0.0.1:8080")
        self._parts, self._timeout_s, self._tries = parts, timeout_s, max(1, tries)
        self._key = key if key is not None else os.environ.get("KELVIN_API_KEY") or None
        self._local = threading.local()

    def rewards(self, responses, labels):
        """A number for each response; a label is a task, as `tasks` and `kelvin tasks` give it, or a gold answer."""
        return self.graded(responses, labels)["rewards"]

    def graded(self, responses, labels):
        """Lists of `rewards`, `scores`, `correct` and `formatted`, in the order of the responses."""
        responses, labels = list(responses), list(labels)
        if len(responses) != len(labels):
            raise ValueError(f"{len(responses)} responses and {len(labels)} labels")
        whole = {"rewards": [], "scores": [], "correct": [], "formatted": []}
        for at in range(0, len(responses), BATCH_MAX):
            part = slice(at, at + BATCH_MAX)
            said = self.call("/get_reward", {"responses": responses[part], "labels": labels[part]})
            logs = said.pop("extra_logs")
            for name, values in {**said, **logs}.items():
                if len(values) != len(responses[part]):
                    raise KelvinError(f"{len(values)} {name} for {len(responses[part])} responses")
                whole[name].extend(values)
        return whole

    def environment(self):
        """The name of what is served."""
        return self.call("/list_environments")[0]

    def tasks(self, start=0, stop=None):
        """Tasks in order, each with `index`, `prompt`, `task_type` and `label`."""
        name = self.environment()
        n = self.call(f"/{name}/num_tasks", {"split": "train"})["num_tasks"]
        stop = n if stop is None else min(stop, n)
        for at in range(start, stop, BATCH_MAX):
            asked = {"split": "train", "start": at, "stop": min(at + BATCH_MAX, stop)}
            yield from self.call(f"/{name}/task_range", asked)["tasks"]

    def run_code(self, code, stdin="", **more):
        """A program's `run_result`, as SandboxFusion has it."""
        body = {"code": code, "stdin": stdin, "language": "python", **more}
        said = self.call("/run_code", body)
        if said["status"] == "SandboxError":
            raise KelvinError(said["message"])
        return said["run_result"]

    def call(self, route, body=None):
        """The JSON that a route answers. A server that is full or late is asked again, a little later each time."""
        for n_tried in range(self._tries):
            if n_tried:
                time.sleep(min(0.25 * 2**n_tried, 8.0))
            status, said = self._ask(route, body)
            if status == 200:
                return said
            if status not in RETRIED:
                break
        detail = said.get("detail") or said.get("message") if isinstance(said, dict) else said
        raise KelvinError(f"{route} answers {status}: {detail}")

    def _ask(self, route, body):
        headers = {"Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        path = self._parts.path + route
        for is_last in (False, True):
            line, is_fresh = self._line()
            try:
                line.request("GET" if data is None else "POST", path, body=data, headers=headers)
                answer = line.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                # A line that was kept may have been closed meanwhile: nothing was done then.
                if is_fresh or is_last:
                    raise KelvinError(f"no answer from {self.url}: {error}") from error
                continue
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text.decode("utf-8", "replace")
        raise AssertionError("the second try returns or raises")

    def _line(self):
        line = getattr(self._local, "line", None)
        # A process that forked has its parent's line: two that speak on one read each other's answers.
        if line is not None and self._local.process == os.getpid():
            return line, False
        of = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        self._local.process = os.getpid()
        self._local.line = of(self._parts.hostname, self._parts.port, timeout=self._timeout_s)
        return self._local.line, True

    def _drop(self):
        self._local.line.close()
        self._local.line = None
