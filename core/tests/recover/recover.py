#!/usr/bin/env python3
"""Recovers a file from a recovery phrase, an exported index and a folder of blobs, by core/FORMAT.md alone.

Needs the packages `cryptography` and `blake3`, and BIP-39's English word list, which lies beside this script.
"""
import argparse, hashlib, json, os, pathlib, sys
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RAW = (Encoding.Raw, PublicFormat.Raw)
hash_of = lambda data: blake3(data).digest()
keyed = lambda key, data: blake3(data, key=key).digest()
derive = lambda purpose, key: blake3(key, derive_key_context="foreverstore 2026 " + purpose).digest()


def ctr(key, iv, data):
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


def check(condition, what):
    if not condition:
        raise SystemExit(f"recover: {what}")


class Reader:
    """Reads bincode."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        check(self.at + count <= len(self.data), "an encoding is cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        first = self.take(1)[0]
        return first if first < 251 else int.from_bytes(self.take({251: 2, 252: 4, 253: 8}[first]), "little")

    def text(self):
        return self.take(self.number()).decode()

    def optional(self, read):
        return read() if self.take(1)[0] else None

    def list(self, read):
        return [read() for _ in range(self.number())]

    def entry(self):
        return self.take(32), self.number()

    def key(self):
        return self.take(32)


def secret_of(phrase, words):
    numbers = [words.index(word) for word in phrase.lower().split()]
    check(len(numbers) == 24, "a phrase has 24 words")
    bits = "".join(f"{number:011b}" for number in numbers)
    secret = int(bits[:256], 2).to_bytes(32, "big")
    check(hashlib.sha256(secret).digest()[0] == int(bits[256:], 2), "the phrase's checksum is wrong")
    return secret


class Owner:
    def __init__(self, secret):
        self.id = Ed25519PrivateKey.from_private_bytes(derive("owner signing key", secret)).public_key().public_bytes(*RAW)
        self.name_key = derive("name key", secret)
        root = derive("record-key root", secret)
        self.page_key_key, self.page_salt_key = derive("page key key", root), derive("page salt key", root)


def winner(owner, name, index):
    """The verified record of the highest version and then id: (version bytes, id, root page or None, name id)."""
    ids = keyed(owner.name_key, name.encode()), hashlib.md5(name.encode()).hexdigest().encode()
    found = []
    for key, record in index.items():
        if key[:1] != b"R" or key[1:33] != owner.id or key[33:65] not in ids:
            continue
        body, signature = record[:-64], record[-64:]
        try:
            public = Ed25519PublicKey.from_public_bytes(owner.id)
            public.verify(signature, b"foreverstore 2026 record signature\0" + body)
        except InvalidSignature:
            raise SystemExit("recover: a record's signature is wrong")
        check(body[:5] == b"FSRC\x01" and body[5:37] == owner.id and body[37:69] == key[33:65], "a record is misplaced")
        reader = Reader(body[69:])
        version = reader.number().to_bytes(8, "big") + reader.number().to_bytes(4, "big") + reader.key()
        check(key[65:] == version + hash_of(body), "a record is misplaced")
        reader.number(), reader.number()  # retention
        found.append((version, hash_of(body), reader.key() if reader.number() == 0 else None, key[33:65]))
    check(found, "no record of this name")
    return max(found)


def open_page(owner, index, page_id, place, number, key=None):
    """A page's count, entries and secrets, checked: as (count, entries, reader of the secrets)."""
    page = index.get(b"P" + owner.id + page_id)
    check(page is not None, f"page {page_id.hex()} is missing")
    check(hash_of(page) == page_id and page[:5] == b"FSPG\x01", f"page {page_id.hex()} is damaged")
    salt, tag, reader = page[5:37], page[37:69], Reader(page[69:])
    page_number, count, kind = reader.number(), reader.number(), reader.number()
    entries = reader.list(reader.entry)
    public, sealed = page[69 : 69 + reader.at], page[69 + reader.at :]
    check(page_number == number, "a page is misplaced")
    number = number.to_bytes(4, "big")
    key = key or keyed(owner.page_key_key, place + number + salt)
    covered = place + number + count.to_bytes(4, "big") + len(public).to_bytes(8, "big") + public
    check(keyed(derive("page mac key", key), covered + salt + sealed) == tag, "a page's tag is wrong")
    plain = ctr(derive("page cipher key", key), bytes(16), sealed)
    check(keyed(owner.page_salt_key, covered + plain) == salt, "a page's salt is wrong")
    secrets = Reader(plain)
    check(secrets.number() == (2 if page_number else kind), "a page's sealed part does not fit")
    return count, entries, secrets


def blob_of(owner, index, blobs, chunk_id):
    blob = index.get(b"B" + owner.id + chunk_id)
    key, sha1 = chunk_id.hex(), hashlib.sha1(chunk_id.hex().encode()).hexdigest()
    cas = "/".join([sha1[at : at + 5] for at in range(0, 40, 5)] + [sha1])
    for path in (f"{key[:2]}/{key[2:4]}/{key[4:]}", cas, key):
        file = blobs / owner.id.hex() / path
        if blob is None and file.is_file():
            blob = file.read_bytes()
    check(blob is not None, f"chunk {key} is missing")
    check(hash_of(blob) == chunk_id, f"chunk {key} is damaged")
    return blob


def chunks_of(owner, index, name, version, name_id, root):
    """The file's description, then its chunks as (entry, key) in order."""
    place = owner.id + name_id + version
    count, entries, secrets = open_page(owner, index, root, place, 0)
    check(secrets.text() == name, "the manifest is of another name")
    length = secrets.number()
    secrets.number(), secrets.optional(secrets.number), secrets.optional(secrets.number), secrets.optional(secrets.text)
    yield length
    keys = secrets.list(secrets.key)
    if count == 1:
        yield from zip(entries, keys, strict=True)
        return
    for number, ((page_id, _), key) in enumerate(zip(entries, keys, strict=True), 1):
        _, below, secrets = open_page(owner, index, page_id, place, number, key)
        yield from zip(below, secrets.list(secrets.key), strict=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phrase-file", type=pathlib.Path, required=True)
    parser.add_argument("--index", type=pathlib.Path, required=True, help='JSON lines {"key": hex, "value": hex}')
    parser.add_argument("--blobs", type=pathlib.Path, required=True, help="the data folder's `blobs`")
    parser.add_argument("--name", required=True)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    words = (pathlib.Path(__file__).parent / "english.txt").read_text().split()
    owner = Owner(secret_of(args.phrase_file.read_text(), words))
    rows = (json.loads(line) for line in args.index.open())
    index = {bytes.fromhex(row["key"]): bytes.fromhex(row["value"]) for row in rows}
    version, _, root, name_id = winner(owner, args.name, index)
    check(root is not None, "the file was deleted")
    chunks = chunks_of(owner, index, args.name, version, name_id, root)
    length, written = next(chunks), 0
    part = args.output.with_name(args.output.name + ".part")
    with part.open("wb") as output:
        for (chunk_id, blob_length), key in chunks:
            blob = blob_of(owner, index, args.blobs, chunk_id)
            check(len(blob) == blob_length, "a chunk's length is wrong")
            check(blob[:16] == derive("chunk iv", key)[:8] + bytes(8), "a chunk's IV is wrong")
            written += output.write(ctr(key, blob[:16], blob[16:]))
    check(written == length, "the file's length is wrong")
    os.replace(part, args.output)
    print(f"recovered {args.name}: {length} bytes", file=sys.stderr)


main()
