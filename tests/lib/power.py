# SPDX-License-Identifier: Apache-2.0
"""What a power failure may leave of a folder, from the journal that unsynced.so wrote.

    library = build_library(folder)              compile unsynced.c
    records = read_journal(path)                 in the order in which things were done
    disk = Disk(); for record in records[:cut]: disk.do(record)
    disk.image("synced", random)                 {name: bytes} at that moment

Images at one moment, from the worst that a disk may do to the best:

    synced    only what was flushed: data by a flush of its file, names by one of the folder
    scattered of what was not flushed any 512-byte piece may be there, be missing, or be zeros
    torn      what was not flushed is there in order up to some write, and half of that one
    kept      everything: what kill -9 leaves
"""

import dataclasses
import struct
import subprocess

from weir import ROOT

HEADER = struct.Struct("<IIiIQQQII")
MAGIC = 0x51 << 24 | ord("u") << 16 | ord("n") << 8 | ord("s")
OPEN, CLOSE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK = range(1, 8)
SECTOR = 512
IMAGES = ("synced", "scattered", "torn", "kept")


def build_library(folder):
    """The preloaded library, compiled; its path."""
    library = folder / "unsynced.so"
    subprocess.run(["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-o", str(library), str(ROOT / "tests/lib/unsynced.c")], check=True)
    return library


def environment_of(library, folder, journal):
    """What a process needs to be watched.  The folder and those in it must exist."""
    return {"LD_PRELOAD": str(library), "UNSYNCED_FOLDER": str(folder.resolve()),
            "UNSYNCED_JOURNAL": str(journal)}


@dataclasses.dataclass
class Record:
    """One line of the journal; see unsynced.c."""

    kind: int
    fd: int
    name: str
    offset: int
    data: bytes
    time_s: float
    is_created: bool
    is_emptied: bool


def read_journal(path):
    """Every whole record; the last may have been cut short by the kill."""
    text, at, records = path.read_bytes(), 0, []
    while at + HEADER.size <= len(text):
        magic, kind, fd, path_len, offset, data_len, time_ns, created, emptied = \
            HEADER.unpack_from(text, at)
        if magic != MAGIC:
            raise ValueError(f"{path}: no record at byte {at}")
        name_at, data_at = at + HEADER.size, at + HEADER.size + path_len
        at = data_at + data_len
        if at > len(text):
            break
        records.append(Record(kind, fd, text[name_at:data_at].decode(), offset,
                              text[data_at:at], time_ns / 1e9, bool(created), bool(emptied)))
    return records


class File:
    """One file: what is flushed, and what was done since."""

    def __init__(self):
        self.flushed = bytearray()
        self.pending = []  # (sequence, offset, data), or (sequence, length, None): truncated

    def sync(self, before):
        for operation in self.pending:
            if operation[0] < before:
                apply(self.flushed, *operation[1:])
        self.pending = [one for one in self.pending if one[0] >= before]


def apply(content, offset, data):
    """Do one operation on a bytearray."""
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


class Disk:
    """The folder as the process sees it, and how much of it is flushed."""

    def __init__(self):
        self._sequence = 0
        self._names, self._flushed_names = {}, {}
        self._pending_names = []  # (sequence, name, File or None)
        self._fds = {}  # descriptor -> File, or the name of a folder or of a file we do not know

    def do(self, record):
        getattr(self, "_" + {OPEN: "open", CLOSE: "close", WRITE: "write", TRUNCATE: "write",
                             SYNC: "sync", RENAME: "rename", UNLINK: "unlink"}[record.kind])(record)
        self._sequence += 1

    def _open(self, record):
        if record.is_created:
            self._name(record.name, File())
        file = self._fds[record.fd] = self._names.get(record.name, record.name)
        if record.is_emptied and not record.is_created:
            file.pending.append((self._sequence, 0, None))

    def _close(self, record):
        del self._fds[record.fd]

    def _write(self, record):
        data = record.data if record.kind == WRITE else None
        self._fds[record.fd].pending.append((self._sequence, record.offset, data))

    def _sync(self, record):
        file = self._fds[record.fd]
        if isinstance(file, File):
            file.sync(record.offset)
            return
        waiting = []
        for sequence, name, named in self._pending_names:
            if sequence < record.offset and name.rpartition("/")[0] == file:
                _put(self._flushed_names, name, named)
            else:
                waiting.append((sequence, name, named))
        self._pending_names = waiting

    def _rename(self, record):
        # One sequence for both: the new name appears and the old one is gone, or neither.
        file = self._names[record.name]
        self._name(record.data.decode(), file)
        self._name(record.name, None)

    def _unlink(self, record):
        self._name(record.name, None)

    def _name(self, name, file):
        _put(self._names, name, file)
        self._pending_names.append((self._sequence, name, file))

    # -- images ------------------------------------------------------------------------------

    def image(self, kind, random):
        """{name: content} after the power failed now, under one of IMAGES."""
        pending = sorted({one[0] for file in self._files() for one in file.pending}
                         | {one[0] for one in self._pending_names})
        if kind == "synced" or not pending:
            last = -1
        elif kind == "kept":
            last = self._sequence
        else:
            last = random.choice(pending)
        names = dict(self._flushed_names)
        # A folder's changes reach the disk in order.
        names_until = last if kind != "scattered" else random.choice([*pending, -1])
        for sequence, name, file in self._pending_names:
            if sequence <= names_until:
                _put(names, name, file)
        pick = {"scattered": _scattered, "torn": _torn}.get(kind, _in_order)
        return {name: bytes(pick(file, last, random)) for name, file in names.items()}

    def _files(self):
        return {*self._names.values(), *self._flushed_names.values()}


def _put(names, name, file):
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _in_order(file, last, _random):
    content = bytearray(file.flushed)
    for sequence, offset, data in file.pending:
        if sequence <= last:
            apply(content, offset, data)
    return content


def _torn(file, last, random):
    """In order, but of the last write only some whole sectors from its start."""
    content = _in_order(file, last - 1, random)
    for sequence, offset, data in file.pending:
        if sequence == last:
            kept = None if data is None else data[:SECTOR * random.randint(
                0, len(data) // SECTOR)]
            apply(content, offset, kept)
    return content


def _scattered(file, _last, random):
    content = bytearray(file.flushed)
    share = random.choice((0.1, 0.5, 0.9))
    for _, offset, data in file.pending:
        if data is None:
            if random.random() < share:
                apply(content, offset, None)
            continue
        for at in range(0, len(data), SECTOR):
            fate = random.random()
            if fate < share:
                apply(content, offset + at, data[at:at + SECTOR])
            elif fate > 0.97 and offset + at >= len(content):
                # The file grew, and what it grew by never came.
                apply(content, offset + at, bytes(len(data[at:at + SECTOR])))
    return content
