"""Packaging: the wheel's content, that it works alone, and consistent requirements."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image
from setuptools import find_packages

from srflow import __version__
from srflow.extras import EXTRAS, describe_missing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image"}  # where the name to install is not the one to import
OPTIONAL = {"pillow_heif", "pillow_jxl", "spaces"}  # used where they are


def requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def extra(name: str) -> set[str]:
    entries = PROJECT["optional-dependencies"][name]
    own = {entry for entry in entries if not entry.startswith(PROJECT["name"])}
    others = [re.search(r"\[(\w+)\]", entry)[1] for entry in set(entries) - own]
    return own.union(*(extra(other) for other in others))


def test_requirements_are_the_core_with_the_page_and_what_is_left_for_developers() -> None:
    assert requirements("requirements.txt") == set(PROJECT["dependencies"]) | extra("app")
    assert extra("train") | extra("eval") <= requirements("requirements.txt") | requirements("requirements-dev.txt")


def named(entries: set[str]) -> set[str]:
    return {re.split(r"[\[>;]", entry)[0] for entry in entries}


@pytest.mark.parametrize(
    ("folders", "extras"), [(["srflow"], ["eval", "train"]), (["srflow", "app"], ["app", "eval", "train"])]
)
def test_whatever_is_imported_is_declared(folders: list[str], extras: list[str]) -> None:
    allowed = named(set(PROJECT["dependencies"]).union(*map(extra, extras)))
    found = {}
    for path in [path for folder in folders for path in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = path
    others = found.keys() - set(sys.stdlib_module_names) - {"srflow", "app"} - OPTIONAL
    undeclared = {name: found[name] for name in others if DISTRIBUTIONS.get(name, name) not in allowed}
    assert not undeclared
    in_core = named(set(PROJECT["dependencies"]))
    outside = {name for name in others if DISTRIBUTIONS.get(name, name) not in in_core}
    if folders == ["srflow"]:  # what is not in the core is known as missing when it is
        assert outside - {"tensorboard"} <= EXTRAS.keys()


def test_every_package_of_the_library_is_listed_for_the_wheel() -> None:
    listed = {name for name in CONFIGURATION["tool"]["setuptools"]["packages"] if "shipped" not in name}
    assert listed == set(find_packages(str(ROOT), include=["srflow*"])), "add it to packages in pyproject.toml"


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    for package, name in EXTRAS.items():
        assert DISTRIBUTIONS.get(package, package) in named(extra(name))
    message = describe_missing(ModuleNotFoundError("…", name="accelerate.utils"))
    assert "accelerate" in message
    assert "[train]" in message
    assert describe_missing(ModuleNotFoundError("…", name="colorsys")) is None


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
COMMAND = "from srflow.cli import main; sys.exit(main())"
# Whoever installs the core alone has none of the others.
CORE_ONLY = WITHOUT.format(packages=[*EXTRAS, "tensorboard"]) + COMMAND
PAGE_ONLY = WITHOUT.format(packages=["accelerate", "tensorboard", "timm"])


def run(*arguments: object, folder: Path, package: Path, code: str = CORE_ONLY) -> subprocess.CompletedProcess[str]:
    """The command with nothing but the core, run from an empty folder, the Hub out of reach."""
    environment = os.environ | {"PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-P", "-c", code] if sys.version_info >= (3, 11) else [sys.executable, "-c", code]
    command += [str(argument) for argument in arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_commands_of_an_extra_say_that_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "data" / "a.png")
    done = run("train", "srflow-da-r-x4-compact", "--data", "data", "--output", "out", folder=tmp_path, package=ROOT)
    assert done.returncode == 2, done.stderr
    assert "srflow train: This needs the package accelerate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_page_needs_nothing_of_training(tmp_path: Path) -> None:
    code = PAGE_ONLY + (
        "import numpy as np, app.page, app.layout\n"
        "from srflow.contract import SampleRequest\n"
        "from srflow.sampling.engine import SamplingEngine\n"
        "lr = np.zeros((16, 16, 3), np.uint8)\n"
        "request = SampleRequest(lr=lr, num_samples=2, pairwise_lpips=True)\n"
        "*_, summary = SamplingEngine('cpu', 'float32', ['srflow-da-r-x4-compact']).sample(request)\n"
        "print(summary.final, summary.medoid is not None)\n"
    )
    done = run(folder=tmp_path, package=ROOT, code=code)
    assert done.stdout == "True True\n", done.stderr


@pytest.mark.slow
def test_the_wheel_draws_by_itself_and_installs_nothing_called_app(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("srflow", "app", "assets", "checkpoints/srflow-da-r-x4-compact"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "app.py"):
        shutil.copy(ROOT / name, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, check=True, capture_output=True, timeout=600)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(site)

    tops = {name.partition("/")[0] for name in names}
    assert tops == {"srflow", f"srflow_da_explorer-{__version__}.dist-info"}
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "srflow").rglob("*") if path.suffix in SHIPPED}
    assert expected | {"srflow/py.typed"} <= names
    assert not [name for name in names if "samples.jpg" in name or "/examples/" in name]

    Image.linear_gradient("L").resize((7, 5)).save(tmp_path / "lr.png")
    done = run("sample", "lr.png", "out", "--precision", "float32", folder=tmp_path, package=site)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out" / "lr_sample0.png") as drawn:
        assert drawn.size == (28, 20)
    code = "from srflow.evaluation import features, perceptual as p; print(features.find_weights(), p.find_weights())"
    done = run(folder=tmp_path, package=site, code=code)
    assert done.stdout.count(str(site)) == 2, done.stderr


SHIPPED = {".py", ".typed", ".toml"}


def test_the_citation_names_this_release_and_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    titles = " ".join(reference["title"] for reference in citation["references"])
    assert "SRFlow-DA" in titles
    assert "Learning the Super-Resolution Space" in titles
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert newest == __version__


TOP_LEVEL = [
    ".ci",
    ".gitignore",
    "app",
    "app.py",
    "assets",
    "benchmarks",
    "checkpoints",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "docs",
    "LICENSE",
    "Makefile",
    "mkdocs.yml",
    "pyproject.toml",
    "README.md",
    "requirements-dev.txt",
    "requirements.txt",
    "scripts",
    "srflow",
    "tests",
]


def test_the_top_level_of_the_repository_holds_what_it_should() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is not a git checkout")
    assert {name.partition("/")[0] for name in done.stdout.splitlines()} <= set(TOP_LEVEL)
