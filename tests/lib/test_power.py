# SPDX-License-Identifier: Apache-2.0
"""What the power failure leaves: by made-up journals, and by a real process under the library."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from power import (  # noqa: E402
    CLOSE, OPEN, RENAME, SYNC, TRUNCATE, UNLINK, WRITE, Disk, Record, build_library,
    environment_of, read_journal)
from weir import PYTHON, environment  # noqa: E402

FOLDER_FD, FD = 3, 4


def step(kind, fd=FD, name="", offset=0, data=b"", created=False, emptied=False):
    return Record(kind, fd, name, offset, data, 0.0, created, emptied)


ENTER = step(OPEN, FOLDER_FD)  # record 0
CREATE = step(OPEN, name="a", created=True)  # record 1


def write(data, offset=0):
    return step(WRITE, offset=offset, data=data)


def flush(before, fd=FD):
    return step(SYNC, fd, offset=before)


def image(kind, *records, seed=1):
    disk = Disk()
    for record in records:
        disk.do(record)
    return disk.image(kind, random.Random(seed))


@pytest.mark.parametrize("records, synced, kept", [
    ([ENTER, CREATE, write(b"x")], {}, {"a": b"x"}),
    # a file without a name, a name without content
    ([ENTER, CREATE, write(b"x"), flush(3)], {}, {"a": b"x"}),
    ([ENTER, CREATE, write(b"x"), flush(3, FOLDER_FD)], {"a": b""}, {"a": b"x"}),
    ([ENTER, CREATE, write(b"x"), flush(3), flush(4, FOLDER_FD)], {"a": b"x"}, {"a": b"x"}),
    # a flush covers what was written before it began
    ([ENTER, CREATE, write(b"x"), write(b"y", 1), flush(3), flush(4, FOLDER_FD)],
     {"a": b"x"}, {"a": b"xy"}),
    ([ENTER, CREATE, flush(2, FOLDER_FD), write(b"x", 2), flush(4)],
     {"a": b"\0\0x"}, {"a": b"\0\0x"}),
    ([ENTER, CREATE, flush(2, FOLDER_FD), write(b"xyz"), flush(4), step(TRUNCATE, offset=1)],
     {"a": b"xyz"}, {"a": b"x"}),
    # the name of a folder inside is flushed by that folder alone
    ([ENTER, step(OPEN, name="d/a", created=True), flush(2, FOLDER_FD)], {}, {"d/a": b""}),
    ([step(OPEN, 9, "d"), step(OPEN, name="d/a", created=True), flush(2, 9)],
     {"d/a": b""}, {"d/a": b""}),
    ([ENTER, CREATE, write(b"new"), flush(3), step(RENAME, name="a", data=b"b")],
     {}, {"b": b"new"}),
    ([ENTER, CREATE, write(b"new"), flush(3), step(RENAME, name="a", data=b"b"),
      flush(5, FOLDER_FD)], {"b": b"new"}, {"b": b"new"}),
    ([ENTER, CREATE, flush(2, FOLDER_FD), step(UNLINK, name="a")], {"a": b""}, {}),
    ([ENTER, CREATE, write(b"x"), flush(3), flush(4, FOLDER_FD), step(CLOSE),
      step(OPEN, name="a", emptied=True), write(b"y")], {"a": b"x"}, {"a": b"y"}),
])
def test_only_what_was_flushed_is_sure_to_be_there(records, synced, kept):
    assert image("synced", *records) == synced
    assert image("kept", *records) == kept


BASE = [ENTER, CREATE, write(b"." * 1536), flush(3), flush(4, FOLDER_FD)]


def test_scattered_keeps_drops_or_zeroes_whole_sectors():
    seen = set()
    for seed in range(200):
        content = image("scattered", *BASE, write(b"x" * 1024), write(b"y" * 512, 1536),
                        seed=seed)["a"]
        sectors = [content[at:at + 512] for at in range(0, len(content), 512)]
        assert all(sector == sector[:1] * 512 for sector in sectors)
        seen.add(b"".join(sector[:1] for sector in sectors))
    # Each flushed sector is old or new; what was appended is there, is zeros, or is not.
    assert {one[:2] for one in seen} == {b"..", b"x.", b".x", b"xx"}
    assert {one[2:] for one in seen} == {b".", b".y", b".\0"}


def test_torn_is_a_beginning_and_half_a_write():
    seen = {image("torn", *BASE, write(b"x" * 512), write(b"y" * 1024, 512), seed=seed)["a"][::512]
            for seed in range(100)}
    assert seen == {b"...", b"x..", b"xy.", b"xyy"}


PROGRAM = """
import os, sys
os.chdir(sys.argv[1])
outside = os.open("../outside", os.O_RDWR | os.O_CREAT)
os.write(outside, b"not ours")
fd = os.open("a", os.O_RDWR | os.O_CREAT)
os.write(fd, b"hello")
os.write(fd, b" world")
os.fsync(fd)
os.pwrite(fd, b"J", 0)
os.ftruncate(fd, 8)
os.posix_fallocate(fd, 0, 10)
folder = os.open(".", os.O_RDONLY)
inner = os.open("d", os.O_RDONLY)
os.close(os.open("new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=inner))
os.rename("d/new", "d/b")
os.fdatasync(fd)
os.fsync(folder)
os.unlink("a")
os.kill(os.getpid(), 9)
"""


def test_a_real_process_is_written_down(tmp_path):
    watched = tmp_path / "watched"
    (watched / "d").mkdir(parents=True)
    library = build_library(tmp_path)
    subprocess.run([PYTHON, "-S", "-c", PROGRAM, str(watched)], check=False, env=environment(
        **environment_of(library, watched, tmp_path / "journal")))
    records = read_journal(tmp_path / "journal")
    assert [one.kind for one in records] == [
        OPEN, WRITE, WRITE, SYNC, WRITE, TRUNCATE, TRUNCATE, OPEN, OPEN, OPEN, CLOSE, RENAME, SYNC,
        SYNC, UNLINK]
    assert image("kept", *records) == {"d/b": b""}
    assert image("synced", *records) == {"a": b"Jello wo\0\0"}
    # A journal cut short by the kill ends with its last whole record.
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "journal").read_bytes()[:-1])
    assert len(read_journal(cut)) == len(records) - 1
