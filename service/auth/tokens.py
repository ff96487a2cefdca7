"""What a token looks like: `assay_<handle>_<secret>`, of which only the handle and a hash of the secret are stored.

The handle is no secret: it finds the row. The secret has 256 random bits, so a plain hash is enough: nobody can try
them all, which slow hashes are for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

PREFIX = "assay"
_SHAPE = re.compile(rf"{PREFIX}_([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True, slots=True)
class Secret:
    """A token as its owner has it. Never stored, and shown once."""

    handle: str
    secret: str

    @classmethod
    def new(cls) -> Secret:
        return cls(secrets.token_hex(8), secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str) -> Secret | None:
        """None for what is no token at all."""
        found = _SHAPE.fullmatch(text)
        return cls(*found.groups()) if found else None

    @property
    def hash(self) -> str:
        return hash_of(self.secret)

    def __str__(self) -> str:
        return f"{PREFIX}_{self.handle}_{self.secret}"

    def __repr__(self) -> str:  # in a traceback too
        return f"Secret({self.handle!r})"

    def fits(self, hash_: str | None) -> bool:
        """Compares in a time that does not depend on where they differ; against nothing it takes as long."""
        return hmac.compare_digest(self.hash, hash_ or _NOBODYS)


def same(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in a time that says nothing of the expected one, not even its length."""
    return hmac.compare_digest(hash_of(given), hash_of(expected))


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


_NOBODYS = hash_of("")
