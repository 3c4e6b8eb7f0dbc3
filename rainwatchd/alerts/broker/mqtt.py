"""Where the broker is, how it is spoken to, and what a failure to do so means."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path
from typing import Annotated

import msgspec

from rainwatchd.alerts.broker.credentials import is_loopback
from rainwatchd.errors import RainwatchError

CONNECT_TIMEOUT_S = 15.0
"""For each of TCP, TLS and the broker's word of welcome; a satellite link takes some seconds."""

_CERT_NOT_YET_VALID = 9
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID: what a clock that was never set looks like."""

_ADDRESS = re.compile(r"(?:(\w+)://)?(?:[^@/]*@)?([^/:\[\]]*|\[[^\]]*\])(?::(\d+))?(?:/.*)?")
"""A URL, or a host with a port, where the bare host is wanted."""

PLAINTEXT = (
    "a password would travel to {host} as plain text: set mqtt.tls,"
    " or mqtt.allow_plaintext_password if the network is your own"
)


FILES = {
    "tls_ca_file": "the certificate (PEM) of the authority that signed the broker's",
    "tls_cert_file": "the device's certificate (PEM)",
    "tls_key_file": "the private key (PEM) of the device's certificate",
    "password_file": "the password",
}
"""Keys of `BrokerOptions` that name files, and what these should hold."""


class MqttError(RainwatchError):
    """The session cannot start or go on; says why."""


class BrokerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The connection to the broker; a device's and a post's."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """None: 8883 with TLS, else 1883."""
    tls: bool = False
    """Encrypt, and verify the broker's certificate and name."""
    tls_ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    tls_cert_file: str | None = None
    """Certificate that the device shows the broker ..."""
    tls_key_file: str | None = None
    """... and its private key, where the certificate's file doesn't hold it."""
    user: str | None = None
    password_file: str | None = None
    """File that holds the password. Without it systemd's credential ``mqtt-password`` counts."""
    allow_plaintext_password: bool = False
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 60
    backoff_max_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 300.0
    """Longest wait between two tries to connect."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if rest := _beside_the_host(self.host):
            raise ValueError(f"host is {self.host!r}, with more than the host in it; write {rest}")
        if not self.tls and (self.tls_ca_file or self.tls_cert_file or self.tls_key_file):
            raise ValueError("tls_ca_file, tls_cert_file and tls_key_file need tls: true")
        if self.tls_key_file and not self.tls_cert_file:
            raise ValueError("tls_key_file needs tls_cert_file")
        if self.password_file and self.exposes_password:
            raise ValueError(PLAINTEXT.format(host=self.host))

    @property
    def exposes_password(self) -> bool:
        """Whether a password would cross a network in the clear, without leave."""
        return not (self.tls or self.allow_plaintext_password or is_loopback(self.host))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)


class MqttOptions(BrokerOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a device's connection to the broker."""

    backlog_rate_hz: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 10.0
    """Messages a second at which an outage's backlog is sent."""
    home_assistant: bool = False
    """Publish Home Assistant's device discovery."""
    live_spectrum: bool = False
    """Answer whoever asks with a minute of the spectrum, 64 bands a second."""


def _beside_the_host(given: str) -> str | None:
    """Return what to write instead of a URL or ``host:port``; None where all is well."""
    found = _ADDRESS.fullmatch(given)
    if found is None or found[2] == given:
        return None
    scheme, host, port = found.groups()
    tls = ", tls: true" if scheme in {"mqtts", "ssl", "tls", "wss", "https"} else ""
    return f"host: {host.strip('[]') or 'NAME'}" + (f", port: {port}" if port else "") + tls


def unusable(path: str, holds: str) -> str | None:
    """Say why a file can't be what it should hold; None where it may be."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(1 << 20)
    except OSError as error:
        return f"{error.strerror}; it should hold {holds}"
    if not content.strip() or ("(PEM)" in holds and b"-----BEGIN " not in content):
        return f"it should hold {holds}, and does not"
    return None


def tls_context(options: BrokerOptions) -> ssl.SSLContext:
    """Read the certificates anew, so that renewed ones need no restart; raise `MqttError`."""
    try:
        context = ssl.create_default_context(cafile=options.tls_ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise MqttError(
            f"mqtt.tls_ca_file {options.tls_ca_file}: {reason}; it should hold "
            f"{FILES['tls_ca_file']}"
        ) from error
    if options.tls_cert_file:
        try:
            context.load_cert_chain(options.tls_cert_file, options.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(filter(None, (options.tls_cert_file, options.tls_key_file)))
            raise MqttError(f"mqtt.tls_cert_file {files}: {error}") from error
    return context


def explained(error: OSError | ValueError) -> str:
    """Say in a line what a failed connection means and where to look."""
    match error:
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=message):
            hint = "the device's clock" if code == _CERT_NOT_YET_VALID else "mqtt.tls_ca_file"
            text = f"certificate not accepted: {message}; check {hint}"
        case ssl.SSLError():
            text = f"TLS handshake failed ({error.reason or error}); check mqtt.port and mqtt.tls"
        case socket.gaierror() | UnicodeError():
            text = "host name cannot be resolved; check mqtt.host and the network"
        case TimeoutError():
            text = f"no answer within {CONNECT_TIMEOUT_S:.0f} s; check mqtt.host and the network"
        case ConnectionResetError():
            text = "hung up; check mqtt.port and mqtt.tls"
        case ConnectionRefusedError():
            text = "nothing listens there; check mqtt.port and that the broker runs"
        case OSError(strerror=str(reason)):
            text = reason
        case _:
            text = str(error)
    return text
