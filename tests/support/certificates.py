"""A certificate authority for a test, and what it signs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def environment(self) -> dict[str, str]:
        """As the router's settings."""
        return {"ROUTER_TLS__CERTIFICATE": str(self.certificate), "ROUTER_TLS__KEY": str(self.key)}


class Authority:
    """Signs certificates for this machine."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder, self._key, self._name = folder, generate_private_key(SECP256R1()), _name(name)
        made = _builder(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def signed(self, name: str, password: bytes | None = None) -> Files:
        """A certificate of this common name for 127.0.0.1 and localhost."""
        key = generate_private_key(SECP256R1())
        names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
        made = _builder(_name(name), self._name, key).add_extension(x509.SubjectAlternativeName(names), critical=False)
        files = Files(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        files.certificate.write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        sealed = BestAvailableEncryption(password) if password else NoEncryption()
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
        return files

    def trusted(self) -> ssl.SSLContext:
        """Of a client that trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.file))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
