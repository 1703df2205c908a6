"""The self-signed certificate of the embedded proxy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME: Final = timedelta(days=365)
_RENEWED_BEFORE: Final = timedelta(days=30)
_CLOCK_LEEWAY: Final = timedelta(hours=1)
_ADDRESSES: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def ensure_certificate(file: Path, names: Sequence[str], now: datetime | None = None) -> bool:
    """Make a certificate for this machine where there is none that can be used.

    The file has the key and the certificate in it, for this user only. One that has other names, or that expires within
    30 days, is replaced.

    Args:
        file: Where it is.
        names: Host names; the loopback addresses are added.
        now: The time; by default the clock's.

    Returns:
        Whether one was made.

    Raises:
        OSError: It cannot be written.
    """
    now = now or datetime.now(UTC)
    if _is_usable(file, names, now):
        return False
    certificate, key = self_signed(names, now)
    draft = file.with_name(f"{file.name}.tmp")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(key + certificate)
    draft.replace(file)
    return True


def self_signed(names: Sequence[str], now: datetime | None = None) -> tuple[bytes, bytes]:
    """A certificate and its key (PEM), for a year.

    Args:
        names: Host names; the loopback addresses are added.
        now: The time; by default the clock's.
    """
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    alternatives = [*map(x509.DNSName, names), *(x509.IPAddress(address) for address in _ADDRESSES)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_LEEWAY)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        # It signs nothing but itself: who trusts it trusts this one server.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def _is_usable(file: Path, names: Sequence[str], now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        own = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return False
    if tuple(own.get_values_for_type(x509.DNSName)) != tuple(names):
        return False
    return now < found.not_valid_after_utc - _RENEWED_BEFORE
