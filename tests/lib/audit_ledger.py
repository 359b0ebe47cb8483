# SPDX-License-Identifier: Apache-2.0
"""The audit log in the database of a stopped gateway, for tests that falsify it.

    with Ledger(weir.state) as ledger:
        ledger.change(slot(5), actor="nobody")

Every checksum of the store is made right again, as by somebody who knows the store but has not the
seal key.
"""

import json
import sqlite3
import struct

CRC_TABLE = []
for index in range(256):
    crc = index
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    CRC_TABLE.append(crc)


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC_TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


class Ledger:
    """The rows of the log in a stopped store."""

    def __init__(self, state):
        self._db = sqlite3.connect(state / "weir.db")
        self._uuid = self._db.execute("SELECT uuid FROM header").fetchone()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._db.commit()
        self._db.close()

    def read(self, name):
        rev, value = self._db.execute("SELECT rev, value FROM catalog WHERE name = ?",
                                      (name,)).fetchone()
        return rev, bytes(value)

    def write(self, name, value):
        """Another value under a name, with the checksum that the store expects."""
        rev, _ = self.read(name)
        place = bytes(self._uuid) + struct.pack("<Q", rev) + b"catalog"
        for column in (name.encode(), value):
            place += struct.pack("<Q", len(column)) + column
        self._db.execute("UPDATE catalog SET value = ?, crc = ? WHERE name = ?",
                         (value, crc32c(place), name))

    def change(self, name, **members):
        self.write(name, json.dumps({**json.loads(self.read(name)[1]), **members}).encode())

    def delete(self, name):
        self._db.execute("DELETE FROM catalog WHERE name = ?", (name,))


def slot(seq, slots=10000):
    return f"audit/{seq % slots:06d}"
