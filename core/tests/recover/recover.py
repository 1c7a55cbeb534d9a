#!/usr/bin/env python3
"""Recovers files from a data folder and its owner's recovery phrase, by core/FORMAT.md alone.

Needs the packages `cryptography` and `blake3`, and BIP-39's English word list, which lies beside this script.
"""
import argparse, datetime, hashlib, os, pathlib, sys

sys.dont_write_bytecode = True  # The modules beside this script may lie in a checkout.
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from redb import Damaged
from sources import DataFolder, Export, check

RAW = (Encoding.Raw, PublicFormat.Raw)
hash_of = lambda data: blake3(data).digest()
keyed = lambda key, data: blake3(data, key=key).digest()
derive = lambda purpose, key: blake3(key, derive_key_context="foreverstore 2026 " + purpose).digest()


def ctr(key, iv, data):
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


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
    given = phrase.lower().split()
    check(len(given) == 24, f"a phrase has 24 words, and this one has {len(given)}")
    for number, word in enumerate(given, 1):
        check(word in words, f"word {number} of the phrase, `{word}`, is not in the list of words")
    numbers = [words.index(word) for word in given]
    bits = "".join(f"{number:011b}" for number in numbers)
    secret = int(bits[:256], 2).to_bytes(32, "big")
    check(hashlib.sha256(secret).digest()[0] == int(bits[256:], 2), "the phrase's checksum is wrong: a word is another than it was, or not in its place")
    return secret


class Owner:
    def __init__(self, secret):
        self.id = Ed25519PrivateKey.from_private_bytes(derive("owner signing key", secret)).public_key().public_bytes(*RAW)
        self.name_key = derive("name key", secret)
        root = derive("record-key root", secret)
        self.checkpoint_name_key = derive("checkpoint name key", self.name_key)
        self.checkpoint_term_key, self.checkpoint_sum_key = derive("checkpoint term key", root), derive("checkpoint sum key", root)
        self.page_key_key, self.page_salt_key = derive("page key key", root), derive("page salt key", root)


def record_of(owner, key, record):
    """A record, verified, as (name id, version bytes, id, root page, or None if it is a deletion, or a checkpoint's four fields)."""
    body, signature = record[:-64], record[-64:]
    try:
        public = Ed25519PublicKey.from_public_bytes(owner.id)
        public.verify(signature, b"foreverstore 2026 record signature\0" + body)
    except InvalidSignature:
        raise SystemExit("recover: a record's signature is wrong")
    check(body[:5] == b"FSRC\x02" and body[5:37] == owner.id and body[37:69] == key[33:65], "a record is misplaced")
    reader = Reader(body[69:])
    version = reader.number().to_bytes(8, "big") + reader.number().to_bytes(4, "big") + reader.key()
    check(key[65:] == version + hash_of(body), "a record is misplaced")
    reader.number(), reader.number(), reader.take(1)  # retention
    kind = reader.number()
    check(kind <= 2, "a record is of a kind this script does not know")
    what = reader.key() if kind == 0 else None if kind == 1 else (*(reader.number() for _ in range(3)), reader.key())
    return key[33:65], version, hash_of(body), what


def records(owner, source, name_id=b""):
    return [record_of(owner, key, record) for key, record in source.prefixed(b"R" + owner.id + name_id)]


def winners(records):
    """The record of the highest version and then id: its tuple, by name id."""
    found = {}
    for record in records:
        found[record[0]] = max(record, found.get(record[0], record), key=lambda one: one[1:3])
    return found


def fingerprint(owner, covered):
    terms = (int.from_bytes(keyed(owner.checkpoint_term_key, record[2]), "little") for record in covered)
    total = sum(terms) % 2**256
    return keyed(owner.checkpoint_sum_key, len(covered).to_bytes(8, "little") + total.to_bytes(32, "little"))


def is_covered(owner, records, version, names, wanted):
    """Whether the records cover a checkpoint, by the rule of FORMAT.md."""
    known = sorted((record for record in records if record[1] <= version), key=lambda one: one[1:3])
    while True:
        covered = [record for record in winners(known).values() if not isinstance(record[3], tuple)]
        if len(covered) == names and fingerprint(owner, covered) == wanted:
            return True
        others = [record for record in known if record[1][12:] != version[12:]]
        if not others:
            return False
        known.remove(others[-1])


def tell_checkpoints(owner, records):
    """Says of each device's newest checkpoint whether the records cover it."""
    for name_id, version, _, what in winners(records).values():
        if isinstance(what, tuple) and name_id == keyed(owner.checkpoint_name_key, version[12:]):
            sequence, wall_ms, names, wanted = what
            time = datetime.datetime.fromtimestamp(wall_ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
            of = f"as of {time}, device {version[12:16].hex()}, checkpoint {sequence} of {names} names"
            covered = is_covered(owner, records, version, names, wanted)
            print(f"recover: {'complete' if covered else 'NOT complete'} {of}", file=sys.stderr)


def open_page(owner, source, page_id, place, number, key=None):
    """A page's count, entries and secrets, checked: as (count, entries, reader of the secrets)."""
    page = source.get(b"P" + owner.id + page_id)
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


def blob_of(owner, source, chunk_id):
    blob = source.blob(owner.id, chunk_id)
    check(blob is not None, f"chunk {chunk_id.hex()} is missing")
    check(hash_of(blob) == chunk_id, f"chunk {chunk_id.hex()} is damaged")
    return blob


def open_file(owner, source, record):
    """A record's file as (name, length, chunks as (entry, key) in order)."""
    name_id, version, _, root = record
    place = owner.id + name_id + version
    count, entries, secrets = open_page(owner, source, root, place, 0)
    name, length = secrets.text(), secrets.number()
    secrets.number(), secrets.optional(secrets.number), secrets.optional(secrets.number), secrets.optional(secrets.text)
    return name, length, chunks_of(owner, source, place, count, entries, secrets.list(secrets.key))


def chunks_of(owner, source, place, count, entries, keys):
    if count == 1:
        yield from zip(entries, keys, strict=True)
        return
    for number, ((page_id, _), key) in enumerate(zip(entries, keys, strict=True), 1):
        _, below, secrets = open_page(owner, source, page_id, place, number, key)
        yield from zip(below, secrets.list(secrets.key), strict=True)


def recover(owner, source, name, key_hash, target):
    hashed = hashlib.md5(name.encode()).hexdigest().encode() if key_hash == "md5" else keyed(owner.name_key, name.encode())
    record = winners(records(owner, source, hashed)).get(hashed)
    if record is None:
        check(any(source.prefixed(b"R" + owner.id)), "there is no file of this phrase's owner: is the phrase another owner's?")
        raise SystemExit(f"recover: no record of the name {name}; --list shows the names, and try --key-hash")
    check(record[3] is not None, "the file was deleted")
    sealed_name, length, chunks = open_file(owner, source, record)
    check(sealed_name == name, "the manifest is of another name")
    written, part = 0, target.with_name(target.name + ".part")
    with part.open("wb") as output:
        for (chunk_id, blob_length), key in chunks:
            blob = blob_of(owner, source, chunk_id)
            check(len(blob) == blob_length, "a chunk's length is wrong")
            check(blob[:16] == derive("chunk iv", key)[:8] + bytes(8), "a chunk's IV is wrong")
            written += output.write(ctr(key, blob[:16], blob[16:]))
    check(written == length, "the file's length is wrong")
    os.replace(part, target)
    print(f"recovered {name}: {length} bytes", file=sys.stderr)


def show(owner, source):
    found = records(owner, source)
    check(found, "there is no file of this phrase's owner: is the phrase another owner's?")
    files = []
    for name_id, version, record_id, root in winners(found).values():
        if isinstance(root, tuple):
            continue
        if root and source.get(b"P" + owner.id + root) is None:
            print(f"recover: the manifest of record {record_id.hex()} is not in this folder", file=sys.stderr)
        elif root:
            files.append(open_file(owner, source, (name_id, version, record_id, root))[:2])
    for name, length in sorted(files):
        print(f"{length}\t{name}")
    tell_checkpoints(owner, found)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phrase-file", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, help="the data folder of a node that is stopped")
    parser.add_argument("--index", type=pathlib.Path, help='in place of --data: JSON lines {"key": hex, "value": hex}')
    parser.add_argument("--blobs", type=pathlib.Path, help="with --index: the folder of blobs")
    parser.add_argument("--key-hash", choices=["blake3-keyed", "md5"], default="blake3-keyed", help="as the node's settings say")
    parser.add_argument("--list", action="store_true", help="show each file's length and name")
    parser.add_argument("--name", help="the file to recover")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="where to put it")
    args = parser.parse_args()
    if bool(args.data) == bool(args.index and args.blobs):
        parser.error("give --data, or both --index and --blobs")
    if args.list == bool(args.name and args.output):
        parser.error("give --list, or both --name and -o")
    return args


def main():
    args = arguments()
    words = (pathlib.Path(__file__).parent / "english.txt").read_text().split()
    owner = Owner(secret_of(args.phrase_file.read_text(), words))
    try:
        source = DataFolder(args.data) if args.data else Export(args.index, args.blobs)
        if args.list:
            show(owner, source)
        else:
            recover(owner, source, args.name, args.key_hash, args.output)
    except Damaged as error:
        why = f"the index cannot be read: {error}; after a crash, start the node once, which repairs it, and stop it"
        raise SystemExit(f"recover: {why}")
    except OSError as error:
        raise SystemExit(f"recover: {error}")


main()
