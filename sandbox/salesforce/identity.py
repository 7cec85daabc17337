"""Who the org is and who may log in: ids, credentials and keys, made once and kept under the state directory."""

import os
import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.salesforce import ids


class Identity(msgspec.Struct, frozen=True):
    """The org and its one connected app."""

    org_id: str
    user_id: str
    username: str
    client_id: str
    client_secret: str
    token_key: str  # hex; signs access tokens, so they stay good over a restart
    password: str = ""
    security_token: str = ""  # behind the password, where a login comes from an unknown network
    refresh_token: str = ""


def load_or_create(state_dir: Path, client_id: str | None = None, client_secret: str | None = None) -> Identity:
    """The identity kept under the state directory; a new directory is a new org.

    client_id, client_secret: of a new org's connected app, where its clients cannot be told them afterwards
    """
    path = state_dir / "identity.json"
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=Identity)
        return known if known.password else _kept(path, _with_secrets(known))
    identity = Identity(
        org_id=ids.make("00D", 62**8 + secrets.randbelow(62**8)),
        user_id=ids.make("005", 1),
        username="integration@umbra.example",
        client_id=client_id or "3MVG9" + secrets.token_urlsafe(60),
        client_secret=client_secret or secrets.token_hex(32).upper(),
        token_key=secrets.token_hex(32),
    )
    return _kept(path, _with_secrets(identity))


def _with_secrets(identity: Identity) -> Identity:
    """With a password and the tokens beside it; an org from before they were kept gets them too."""
    return msgspec.structs.replace(
        identity,
        password=secrets.token_urlsafe(12),
        security_token=secrets.token_hex(12),
        refresh_token="5Aep861" + secrets.token_urlsafe(60),
    )


def _kept(path: Path, identity: Identity) -> Identity:
    write_private(path, msgspec.json.format(msgspec.json.encode(identity)))
    return identity


def login_key_file(state_dir: Path) -> Path:
    """The private key a client signs its login assertions with; the org verifies with its public half."""
    path = state_dir / "login-key.pem"
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, pem)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole, readable by its owner only."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    os.replace(draft, path)
