"""The container file, as far as it can be tested without building it: the files that it copies start the page."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client

from srflow.checkpoints.shipped import shipped_checkpoints

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "scripts" / "Containerfile").read_text().splitlines()


@pytest.mark.slow
def test_the_page_starts_from_the_files_that_are_copied(tmp_path: Path) -> None:
    for line in LINES:
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                goal = tmp_path / target / source if target in (".", "./") else tmp_path / target
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, goal, ignore=shutil.ignore_patterns("__pycache__", "*.pyi"))
                else:
                    shutil.copy(ROOT / source, goal)
    [entry] = [json.loads(line.removeprefix("ENTRYPOINT ")) for line in LINES if line.startswith("ENTRYPOINT ")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, *entry[1:]]
    command[command.index("--host") + 1] = "127.0.0.1"
    command[command.index("--port") + 1] = port
    environment = os.environ | {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
    try:
        address = f"http://127.0.0.1:{port}/"
        page = _wait_for(address, process, log)
        models = Client(address, verbose=False).predict(api_name="/models")
        example = urllib.request.urlopen(f"{address}gradio_api/file={tmp_path}/assets/examples/cat.png", timeout=300)
    finally:
        process.terminate()
        process.wait(30)
    assert "SRFlow-DA Explorer" in page
    assert example.status == 200
    for folder in shipped_checkpoints():
        assert folder.name in str(models)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 600.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"The page did not answer within {seconds} s: {log.read_text()}")
