"""MLKEM768-X25519 with HKDF-SHA256 and ChaCha20-Poly1305 in HPKE's base mode, from its documents.

RFC 9180, sections 4 and 5; draft-ietf-hpke-pq and draft-connolly-cfrg-xwing-kem for the KEM. Slow,
short and independent of the library's HPKE, which it checks: only the primitives are shared.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEM_ID, KDF_ID, AEAD_ID = 0x647A, 1, 3
SUITE_ID = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM_ID, KDF_ID, AEAD_ID))
LABEL = b"\\.//^\\"
MLKEM_CIPHERTEXT_BYTES = 1088
ENC_BYTES = MLKEM_CIPHERTEXT_BYTES + 32


def key_pair(seed):
    """Return ML-KEM's and X25519's private key of a 32-byte seed."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(
        expanded[64:]
    )


def public_bytes(seed):
    lattice, curve = key_pair(seed)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def decapsulate(seed, enc):
    lattice, curve = key_pair(seed)
    lattice_part, curve_part = enc[:MLKEM_CIPHERTEXT_BYTES], enc[MLKEM_CIPHERTEXT_BYTES:]
    secrets = lattice.decapsulate(lattice_part) + curve.exchange(
        X25519PublicKey.from_public_bytes(curve_part)
    )
    own = curve.public_key().public_bytes_raw()
    return hashlib.sha3_256(secrets + curve_part + own + LABEL).digest()


def labeled_extract(salt, label, material):
    return hmac.digest(salt, b"HPKE-v1" + SUITE_ID + label + material, "sha256")


def labeled_expand(key, label, info, length):
    assert length <= 32
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE_ID + label + info
    return hmac.digest(key, labeled + b"\x01", "sha256")[:length]


class Context:
    """What both ends of a base-mode exchange know."""

    def __init__(self, shared, info):
        schedule = b"\0" + labeled_extract(b"", b"psk_id_hash", b"")
        schedule += labeled_extract(b"", b"info_hash", info)
        secret = labeled_extract(shared, b"secret", b"")
        self._aead = ChaCha20Poly1305(labeled_expand(secret, b"key", schedule, 32))
        self._base = int.from_bytes(labeled_expand(secret, b"base_nonce", schedule, 12), "big")

    def seal(self, number, plaintext, aad=b""):
        return self._aead.encrypt(self._nonce(number), plaintext, aad)

    def open(self, number, ciphertext, aad=b""):
        return self._aead.decrypt(self._nonce(number), ciphertext, aad)

    def _nonce(self, number):
        return (self._base ^ number).to_bytes(12, "big")
