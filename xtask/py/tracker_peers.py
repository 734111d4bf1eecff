"""Runs kelvin beside the real servers of Trackio and MLflow, reads back what they have with their own libraries, and compares
it with metrics.jsonl value by value: once with the servers there, once with servers that come after the run has ended.
`cargo xtask tracker-peers` installs what it needs and calls it.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

TOKEN = "a-token-of-this-test"
TRACKIO_PORT, MLFLOW_PORT, PAGE_PORT = 8731, 8732, 8733


class Servers:
    """Both servers, over the data of `folder`."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "TRACKIO_DIR": str(folder / "trackio"), "TRACKIO_WRITE_TOKEN": TOKEN}
        show = f"import trackio; trackio.show(open_browser=False, block_thread=True, server_port={TRACKIO_PORT})"
        mlflow = [sys.executable, "-m", "mlflow", "server", "--port", str(MLFLOW_PORT), "--workers", "1"]
        mlflow += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        log = open(folder / "servers.log", "ab")
        started = {"env": environment, "stdout": log, "stderr": log, "start_new_session": True}
        self.processes = [subprocess.Popen([sys.executable, "-c", show], **started), subprocess.Popen(mlflow, **started)]
        for port in (TRACKIO_PORT, MLFLOW_PORT):
            wait_for(f"http://127.0.0.1:{port}/")

    def close(self):
        for process in self.processes:
            os.killpg(process.pid, 9)
            process.wait()


def wait_for(url, seconds=120):
    for _ in range(seconds * 4):
        try:
            return urllib.request.urlopen(url).read()
        except urllib.error.HTTPError:
            return b""
        except OSError:
            time.sleep(0.25)
    sys.exit(f"{url} does not answer")


def kelvin(binary, arguments, page=False):
    """Runs it; gives what it says on standard error, and the page for Prometheus as it was while it went."""
    environment = {**os.environ, "TRACKIO_WRITE_TOKEN": TOKEN}
    process = subprocess.Popen([binary, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    seen = wait_for(f"http://127.0.0.1:{PAGE_PORT}/metrics").decode() if page else ""
    while page and process.poll() is None and "kelvin_step" not in seen:
        time.sleep(0.02)
        try:
            seen = urllib.request.urlopen(f"http://127.0.0.1:{PAGE_PORT}/metrics").read().decode()
        except OSError:
            break
    said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    return said, seen


def rows_of(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {(row["step"], name): value for row in rows for name, value in row.items() if name != "step"}


def compare_mlflow(name, expected):
    import mlflow

    client = mlflow.MlflowClient(f"http://127.0.0.1:{MLFLOW_PORT}")
    experiment = client.get_experiment_by_name("a project of tests")
    runs = [it for it in client.search_runs([experiment.experiment_id]) if it.info.run_name == name]
    assert len(runs) == 1 and runs[0].info.status == "FINISHED", runs
    found = {}
    for key in {name for _, name in expected}:
        for point in client.get_metric_history(runs[0].info.run_id, key):
            assert (point.step, key) not in found, "a point that is there twice"
            found[point.step, key] = point.value
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[it], expected[it], rel_tol=1e-12) for it in expected)
    return {"values": len(found), "parameters": len(runs[0].data.params)}


def compare_trackio(name, expected, folder):
    read = "import json, sys; from trackio.sqlite_storage import SQLiteStorage as S; "
    read += "print(json.dumps(S.get_logs('a project of tests', sys.argv[1])))"
    environment = {**os.environ, "TRACKIO_DIR": str(folder / "trackio")}
    text = subprocess.run([sys.executable, "-c", read, name], env=environment, capture_output=True, check=True).stdout
    rows = json.loads(text.splitlines()[-1])
    found = {(row["step"], key): value for row in rows for key, value in row.items() if key not in ("step", "timestamp")}
    assert found == expected, set(found.items()) ^ set(expected.items())
    return {"rows": len(rows), "values": len(found)}


def with_servers(options, folder, arguments):
    """A run whose servers are there from its beginning."""
    run = folder / "there"
    command = ["train", options.config, "--plain", "--run-dir", str(run), *arguments]
    said, page = kelvin(options.binary, command, page=True)
    assert "warning" not in said, said
    families = {it.name for it in text_string_to_metric_families(page)}
    assert {"kelvin_step", "kelvin_eval_mean_accuracy"} <= families, families
    return {**compared(run, folder), "prometheus": {"gauges": len(families)}}


def compared(run, folder):
    expected = rows_of(run)
    return {"mlflow": compare_mlflow(run.name, expected), "trackio": compare_trackio(run.name, expected, folder)}

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    options = parser.parse_args()
    folder = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sets = {
        "steps": 6,
        "eval.every": 3,
        "tracking.trackio": f"http://127.0.0.1:{TRACKIO_PORT}",
        "tracking.mlflow": f"http://127.0.0.1:{MLFLOW_PORT}",
        "tracking.project": "a project of tests",
        "tracking.prometheus": f"127.0.0.1:{PAGE_PORT}",
        "tracking.close_s": 10,
    }
    arguments = [it for key, value in sets.items() for it in ("--set", f"{key}={value}")]
    report = {}
    servers = Servers(folder)
    try:
        report["there"] = with_servers(options, folder, arguments)
    finally:
        servers.close()
    late = folder / "late"
    said, _ = kelvin(options.binary, ["train", options.config, "--plain", "--run-dir", str(late), *arguments])
    assert said.count("rows wait until it is back") == 2 and said.count("kelvin resume") >= 2, said
    servers = Servers(folder)
    try:
        kelvin(options.binary, ["resume", "--plain", str(late)])
        report["late"] = compared(late, folder)
    finally:
        servers.close()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
