"""Files are written as a whole or not at all, and locks exclude other processes."""

from pathlib import Path

import pytest

from poolbench.core.io import atomic_write, file_lock


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.write("not bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_exclusive_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".lock"
    with file_lock(path) as held, file_lock(path, wait=False) as second:
        assert held
        assert not second
    with file_lock(path, wait=False) as third:
        assert third
