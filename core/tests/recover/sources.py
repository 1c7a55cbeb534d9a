"""Where recovery reads from: a data folder, or an exported index beside a folder of blobs.

Both give the core's entries by `get(key)` and `prefixed(prefix)`, and a blob's bytes, unchecked, by `blob(owner, chunk)`.
"""
import contextlib
import fcntl
import hashlib
import json
import struct

import redb

FORMAT = 1
INLINE, FILE = 0, 1


def check(condition, what):
    if not condition:
        raise SystemExit(f"recover: {what}")


class DataFolder:
    """A node's data folder. What is in it is only read."""

    def __init__(self, data):
        # A running node overwrites pages of the index that this program may be about to read.
        with contextlib.suppress(FileNotFoundError), open(data / "lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit(f"recover: a node runs on {data}: stop it first")
        self.store = data / "store"
        index = self.store / "index.redb"
        check(index.is_file(), f"{data} is no data folder with a store: {index} is missing")
        database = redb.Database(index)
        self.entries, self.rows, meta = (database.table(name) for name in ("index", "blobs", "meta"))
        number = meta and meta.get(b"format")
        check(number is not None and self.entries and self.rows, f"{index} is not the index of a store")
        (found,) = struct.unpack("<Q", number)
        check(found == FORMAT, f"{index} has format {found}, and this script reads format {FORMAT}")
        self.get, self.prefixed = self.entries.get, self.entries.prefixed

    def blob(self, owner, chunk):
        row = self.rows.get(owner + chunk)
        if row is None:
            return None
        if row[0] == INLINE:
            return row[1:]
        check(row[0] == FILE, f"the row of chunk {chunk.hex()} is of a kind this script does not know")
        path = self.store / "blobs" / owner.hex() / row[9:].decode()
        return path.read_bytes() if path.is_file() else None


class Export:
    """An exported index, JSON lines of {"key": hex, "value": hex}, and a folder of blobs whose path transform is not known."""

    def __init__(self, index, blobs):
        with open(index) as lines:
            rows = (json.loads(line) for line in lines)
            self.entries = {bytes.fromhex(row["key"]): bytes.fromhex(row["value"]) for row in rows}
        self.blobs, self.get = blobs, self.entries.get

    def prefixed(self, prefix):
        return ((key, self.entries[key]) for key in sorted(self.entries) if key.startswith(prefix))

    def blob(self, owner, chunk):
        key, sha1 = chunk.hex(), hashlib.sha1(chunk.hex().encode()).hexdigest()
        cas = "/".join([sha1[at : at + 5] for at in range(0, 40, 5)] + [sha1])
        paths = (self.blobs / owner.hex() / path for path in (f"{key[:2]}/{key[2:4]}/{key[4:]}", cas, key))
        inline = self.get(b"B" + owner + chunk)
        return inline if inline is not None else next((path.read_bytes() for path in paths if path.is_file()), None)
