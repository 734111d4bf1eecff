"""Starts the binary and ends it."""

import shutil
import subprocess

from .client import Client, KelvinError


class Server:
    """A `kelvin serve` of one's own on a free port of loopback, for the length of a `with` block.

    `binary` is a path or a name on PATH; `options` go to `kelvin serve` as they are, such as `["--env", "math_question"]`.
    """

    def __init__(self, options=(), binary="kelvin"):
        found = shutil.which(binary)
        if found is None:
            raise KelvinError(f"there is no {binary}; `cargo build --release` makes target/release/kelvin")
        self._command = [found, "serve", "--bind", "127.0.0.1:0", *options]
        self._process = None
        self.url = None

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        said, _, url = line.strip().partition("listening on ")
        if said or not url:
            status = self._process.wait()
            raise KelvinError(f"kelvin serve ended with {status}; its standard error says why")
        self.url = url
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def client(self, **options):
        """A client of this server."""
        return Client(self.url, **options)
