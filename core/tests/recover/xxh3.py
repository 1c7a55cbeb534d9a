"""XXH3 with 128 bits and seed 0 (the checksum of redb), of 17 bytes or more, by github.com/Cyan4973/xxHash's specification.

The long form sums whole blocks in calls of the standard library, so it hashes tens of MiB a second all the same.
"""
import operator
import struct

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
P32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MASK = 2**64 - 1
STRIPE = 64
STRIPES = 16  # of a block: (192 bytes of secret - one stripe) / 8
BLOCK = STRIPE * STRIPES


def u64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def fold(a, b):
    product = a * b
    return product & MASK ^ product >> 64


def avalanche(x):
    x = (x ^ x >> 37) * 0x165667919E3779F9 & MASK
    return x ^ x >> 32


def mix32(state, data, a, b, secret):
    low, high = state
    low = low + fold(u64(data, a) ^ u64(SECRET, secret), u64(data, a + 8) ^ u64(SECRET, secret + 8)) & MASK
    low ^= u64(data, b) + u64(data, b + 8) & MASK
    high = high + fold(u64(data, b) ^ u64(SECRET, secret + 16), u64(data, b + 8) ^ u64(SECRET, secret + 24)) & MASK
    high ^= u64(data, a) + u64(data, a + 8) & MASK
    return low, high


def short(data):
    size = len(data)
    state = size * P64[0] & MASK, 0
    if size <= 128:
        for at in reversed(range((size - 1) // 32 + 1)):
            state = mix32(state, data, 16 * at, size - 16 * (at + 1), 32 * at)
    else:
        for at in range(4):
            state = mix32(state, data, 32 * at, 32 * at + 16, 32 * at)
        state = avalanche(state[0]), avalanche(state[1])
        for at in range(4, size // 32):
            state = mix32(state, data, 32 * at, 32 * at + 16, 3 + 32 * (at - 4))
        state = mix32(state, data, size - 16, size - 32, 103)
    low, high = state
    total = low * P64[0] + high * P64[3] + size * P64[1] & MASK
    return (-avalanche(total) & MASK) << 64 | avalanche(low + high & MASK)


def accumulate(lanes, stripes, secrets):
    """Adds stripes (64 bytes each) to the lanes. A lane takes the product of its halves, and its neighbour as it is."""
    mixed = (int.from_bytes(stripes, "little") ^ int.from_bytes(secrets, "little")).to_bytes(len(stripes), "little")
    plain = struct.unpack(f"<{len(stripes) // 8}Q", stripes)
    halves = struct.unpack(f"<{len(stripes) // 4}I", mixed)
    for lane in range(8):
        products = map(operator.mul, halves[2 * lane :: 16], halves[2 * lane + 1 :: 16])
        lanes[lane] = lanes[lane] + sum(products) + sum(plain[lane ^ 1 :: 8]) & MASK


def merge(lanes, secret, start):
    for at in range(0, 8, 2):
        start += fold(lanes[at] ^ u64(SECRET, secret + 8 * at), lanes[at + 1] ^ u64(SECRET, secret + 8 * at + 8))
    return avalanche(start & MASK)


BLOCK_SECRETS = b"".join(SECRET[8 * at : 8 * at + STRIPE] for at in range(STRIPES))


def long(data):
    size = len(data)
    lanes = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    blocks = (size - 1) // BLOCK
    for at in range(blocks):
        accumulate(lanes, data[at * BLOCK : (at + 1) * BLOCK], BLOCK_SECRETS)
        lanes = [(x ^ x >> 47 ^ u64(SECRET, 128 + 8 * lane)) * P32[0] & MASK for lane, x in enumerate(lanes)]
    rest = (size - 1 - blocks * BLOCK) // STRIPE * STRIPE
    accumulate(lanes, data[blocks * BLOCK : blocks * BLOCK + rest], BLOCK_SECRETS[:rest])
    accumulate(lanes, data[-STRIPE:], SECRET[121 : 121 + STRIPE])
    low, high = merge(lanes, 11, size * P64[0] & MASK), merge(lanes, 117, ~(size * P64[1]) & MASK)
    return high << 64 | low


def xxh3_128(data):
    """The hash of 17 bytes or more, as a number."""
    if len(data) < 17:
        raise ValueError("fewer than 17 bytes")
    return short(data) if len(data) <= 240 else long(data)
