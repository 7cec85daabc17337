"""The signing key of the sandbox's identity provider: made once, kept in its state directory, published as JWKS."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    private: rsa.RSAPrivateKey

    @property
    def kid(self) -> str:
        """The key's RFC 7638 thumbprint, so that a new key never comes under an old name."""
        members = {name: self._members()[name] for name in ("e", "kty", "n")}
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
        return _base64url(hashlib.sha256(canonical.encode()).digest())

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        return {"keys": [{**self._members(), "kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def _members(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}


def load_or_make(state: Path) -> SigningKey:
    state.mkdir(parents=True, exist_ok=True)
    path = state / "signing-key.pem"
    if not path.exists():
        _write(path, rsa.generate_private_key(public_exponent=65537, key_size=_BITS))
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key")
    return SigningKey(private)


def _write(path: Path, private: rsa.RSAPrivateKey) -> None:
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_suffix(".new")
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(pem)
    draft.replace(path)


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
