"""Reads a database of redb 4 (its file format 3) without redb, and never writes to it.

Written by the crate's `docs/design.md` and, where that is silent (page numbers, table definitions, what a checksum covers), by
its `src/tree_store`. All numbers are little endian. From the file's start:

- header, 64 bytes: magic (9 bytes), god byte, 2 of padding, page size (u32), header pages and data pages of a region (u32 each);
- two commit slots, 128 bytes each. Of the god byte, bit 0 tells the primary, bit 2 that the primary alone counts;
- from the first page boundary on, regions of equal length: header pages (none in new files), then data pages.

A commit slot holds the root of a tree that maps tables' names to their definitions, and a table's definition holds the root of
the table's tree. Whoever refers to a page has its number and its checksum, so a page that a crash has torn is always noticed.
"""
import collections
import struct

from xxh3 import xxh3_128

MAGIC = b"redb\x1a\x0a\xa9\x0d\x0a"
VERSION = 3
LEAF, BRANCH = 1, 2
NORMAL_TABLE = 3
DEPTH_MAX = 128

Root = collections.namedtuple("Root", "page checksum")


class Damaged(Exception):
    """The file is no database, or not what its checksums say."""


def need(condition, what):
    if not condition:
        raise Damaged(what)


def numbers(kind, data, at, count):
    need(at + count * struct.calcsize("<" + kind) <= len(data), "a page is cut short")
    return struct.unpack_from(f"<{count}{kind}", data, at)


def slot_root(slot):
    """The transaction of a commit slot and its root (None of an empty database), or None if the slot does not verify."""
    if xxh3_128(slot[:112]) != int.from_bytes(slot[112:], "little"):
        return None
    need(slot[0] == VERSION, f"it has redb's file format {slot[0]}, and this script reads {VERSION}")
    has_root, page, checksum, transaction = slot[1], *struct.unpack_from("<Q16s", slot, 8), *numbers("Q", slot, 104, 1)
    return transaction, Root(page, checksum) if has_root else None


class Database:
    """A database as of its last commit. Close the program that writes it before, or read a copy."""

    def __init__(self, path):
        self.file = open(path, "rb")
        header = self.file.read(320)
        need(len(header) == 320 and header[:9] == MAGIC, "it is no redb database")
        god = header[9]
        self.page_size, header_pages, data_pages = struct.unpack_from("<III", header, 12)
        self.region_data = header_pages * self.page_size
        self.region_size = self.region_data + data_pages * self.page_size
        # What redb's own recovery does: the primary, or the other slot if the primary is torn or the other is newer, for the
        # god byte may reach the disk before the slot does. A slot written in two phases is whole by the time it is primary.
        primary, other = (slot_root(header[64 + 128 * n : 192 + 128 * n]) for n in (god & 1, god & 1 ^ 1))
        if not god & 4 and other and (not primary or other[0] > primary[0]):
            primary = other
        need(primary, "no commit in it is whole")
        self.tables = Tree(self, primary[1], None, None)

    def page(self, root):
        """The bytes of a page. A page number: index in its region (20 bits), region (20), reserved (19), order (5)."""
        order = root.page >> 59
        index, region = root.page & 0xFFFFF >> order, root.page >> 20 & 0xFFFFF
        size = self.page_size << order
        self.file.seek(self.page_size + region * self.region_size + self.region_data + index * size)
        data = self.file.read(size)
        need(len(data) == size, "it is cut short")
        return data

    def table(self, name):
        """A table, as a tree of bytes to bytes; None if there is none of this name."""
        definition = self.tables.get(name.encode())
        if definition is None:
            return None
        # Kind, entries, root (present, page, checksum, entries), fixed key and value length (present, length), alignments.
        fields = struct.unpack_from("<BQ BQ16sQ BI BI II", definition)
        kind, _, has_root, page, checksum, _, key_fixed, key_size, value_fixed, value_size, key_align, value_align = fields
        need(kind == NORMAL_TABLE and key_align == value_align == 1, f"table {name} is of a kind this script cannot read")
        root = Root(page, checksum) if has_root else None
        return Tree(self, root, key_size if key_fixed else None, value_size if value_fixed else None)


class Tree:
    """A B+tree. Keys order as their bytes do, which holds for byte arrays, slices and text."""

    def __init__(self, database, root, key_size, value_size):
        self.database, self.root, self.key_size, self.value_size = database, root, key_size, value_size

    def get(self, key):
        return next((value for _, value in self.range(key, key + b"\0")), None)

    def prefixed(self, prefix):
        """All (key, value) whose key starts with the prefix."""
        for key, value in self.range(prefix):
            if not key.startswith(prefix):
                return
            yield key, value

    def range(self, first, end=None):
        """All (key, value) from `first` to before `end`, in order of keys."""
        return self._range(self.root, first, end, 0) if self.root else iter(())

    def _range(self, root, first, end, depth):
        need(depth < DEPTH_MAX, "its pages refer to each other in a circle")
        page = self.database.page(root)
        need(page[0] in (LEAF, BRANCH), "a page is neither leaf nor branch")
        if page[0] == LEAF:
            for key, value in self._leaf(page, root.checksum):
                if key >= first and (end is None or key < end):
                    yield key, value
            return
        keys, children = self._branch(page, root.checksum)
        for at, child in enumerate(children):
            # A branch's key is not below those of the child before it, and below those of the child after it.
            if at > 0 and end is not None and keys[at - 1] >= end:
                return
            if at == len(keys) or keys[at] >= first:
                yield from self._range(child, first, end, depth + 1)

    def _leaf(self, page, checksum):
        """Type, padding, count (u16); the ends of keys, then of values, where they vary (u32 each); keys; values."""
        count = entries(page)
        start, keys, values = 4, None, None
        if self.key_size is None:
            start, keys = start + 4 * count, numbers("I", page, start, count)
        if self.value_size is None:
            start, values = start + 4 * count, numbers("I", page, start, count)
        keys = keys or [start + self.key_size * (n + 1) for n in range(count)]
        values = values or [keys[-1] + self.value_size * (n + 1) for n in range(count)]
        verify(page, values[-1], checksum)
        return zip(cut(page, start, keys), cut(page, keys[-1], values))

    def _branch(self, page, checksum):
        """Type, padding, count of keys (u16), padding (u32); children's checksums, their pages; ends of keys; keys."""
        count = entries(page)
        start = 8 + 24 * (count + 1)
        pages = numbers("Q", page, 8 + 16 * (count + 1), count + 1)
        if self.key_size is None:
            start, ends = start + 4 * count, numbers("I", page, start, count)
        else:
            ends = [start + self.key_size * (n + 1) for n in range(count)]
        verify(page, ends[-1], checksum)
        checksums = [page[8 + 16 * n : 24 + 16 * n] for n in range(count + 1)]
        return cut(page, start, ends), [Root(*child) for child in zip(pages, checksums)]


def entries(page):
    (count,) = numbers("H", page, 2, 1)
    need(count, "a page is empty")
    return count


def verify(page, end, checksum):
    """A checksum covers what is used of a page."""
    need(17 <= end <= len(page) and xxh3_128(page[:end]) == int.from_bytes(checksum, "little"), "a page is damaged")


def cut(page, start, ends):
    return [page[start:end] for start, end in zip([start, *ends], ends)]
