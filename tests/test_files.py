"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from srflow import files
from srflow.contract import InputError, OutputError
from srflow.files import atomic_directory, atomic_write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_bytes_and_text(tmp_path):
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"\x00\n\xff")
    with atomic_write(str(tmp_path / "new" / "folder" / "a.txt"), "w") as file:
        file.write("σ\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\n\xff"
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == "σ\n".encode()
    assert names(tmp_path) == ["a.bin", "new"]


def test_nothing_is_there_before_all_is_written(tmp_path):
    path = tmp_path / "a"
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a"

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []
    path.write_bytes(b"old")
    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_failure_to_rename_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(PermissionError))
    with pytest.raises(OutputError, match="no permission"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_contents_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("sync"), fsync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda *paths: (events.append("rename"), replace(*paths))[1])
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert events == ["sync", "rename", "sync"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_are_those_of_ordinary_files(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    (tmp_path / "ordinary folder").mkdir()
    with atomic_write(tmp_path / "a"):
        pass
    with atomic_directory(tmp_path / "b"):
        pass

    def mode(name: str) -> int:
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    assert mode("a") == mode("ordinary")
    assert mode("b") == mode("ordinary folder")
    (tmp_path / "a").chmod(0o640)
    with atomic_write(tmp_path / "a"):
        pass
    assert mode("a") == 0o640


def test_the_mask_of_the_process_is_left_alone(tmp_path, monkeypatch):
    """It belongs to all threads: one that is read while another is reading would be lost."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the mask was changed"))
    with atomic_write(tmp_path / "a"):
        pass
    with atomic_directory(tmp_path / "b"):
        pass
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_what_replaces_a_private_file_is_private_from_the_beginning(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o600)
    with atomic_write(tmp_path / "a"):
        [temporary] = tmp_path.glob(".*.part")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_keeps_leading_to_the_file(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"new"


def test_bad_targets(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="is a folder"), atomic_write(tmp_path):
        pass
    with pytest.raises(InputError, match="mode"), atomic_write(tmp_path / "a", "ab"):
        pass
    with pytest.raises(InputError, match="is a file"), atomic_directory(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file"]


def test_long_names(tmp_path):
    with atomic_write(tmp_path / ("x" * 240)) as file:
        file.write(b"new")
    assert names(tmp_path) == ["x" * 240]


def fill(folder: Path, text: str) -> None:
    (folder / "sub").mkdir()
    (folder / "a").write_text(text)
    (folder / "sub" / "b").write_text(text)


def test_folder_appears_whole(tmp_path):
    path = tmp_path / "new" / "checkpoint"
    with atomic_directory(path) as folder:
        fill(folder, "1")
        assert not path.exists()
    assert (path / "sub" / "b").read_text() == "1"
    (path / "left over").write_text("")
    with atomic_directory(path) as folder:
        fill(folder, "2")
        assert (path / "a").read_text() == "1"
    assert (path / "sub" / "b").read_text() == "2"
    assert names(path) == ["a", "sub"]
    assert names(tmp_path / "new") == ["checkpoint"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_folder_stays_if_the_new_one_fails(tmp_path, error):
    path = tmp_path / "checkpoint"
    path.mkdir()
    fill(path, "old")

    def fail() -> None:
        with atomic_directory(path) as folder:
            fill(folder, "new")
            raise error

    with pytest.raises(error):
        fail()
    assert (path / "sub" / "b").read_text() == "old"
    assert names(tmp_path) == ["checkpoint"]


def test_folder_is_put_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    path.mkdir()
    fill(path, "old")
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise PermissionError
        return rename(self, target)

    monkeypatch.setattr(files.Path, "rename", fail_for_new)
    with pytest.raises(PermissionError), atomic_directory(path) as folder:
        fill(folder, "new")
    assert (path / "sub" / "b").read_text() == "old"
    assert names(tmp_path) == ["checkpoint"]
