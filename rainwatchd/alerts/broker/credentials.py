"""User name and password for the broker, from files or systemd's credentials, never logged."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from rainwatchd.errors import ConfigError


@dataclass(frozen=True)
class Credentials:
    """What the device proves itself by; `repr` does not show the password."""

    user: str | None
    password: str | None = field(repr=False)


def read_credentials(user: str | None, password_file: str | None) -> Credentials:
    """Read the password from `password_file`, else from the credential ``mqtt-password``.

    The user may come from the credential ``mqtt-user``. Files are read anew on each call, so that
    a password changed in `password_file` needs no restart; a credential is systemd's copy of the
    moment at which the service was started. Raises `ConfigError` naming a file that cannot be read.
    """
    password = _read(Path(password_file)) if password_file else _systemd_credential("mqtt-password")
    return Credentials(user or _systemd_credential("mqtt-user"), password)


def no_password(user: str) -> str:
    """Say where a password for `user` was looked for, none having been found."""
    started = "CREDENTIALS_DIRECTORY" in os.environ
    credential = (
        "systemd found none in /etc/credstore when it started this"
        if started
        else "systemd, which hands over the one in /etc/credstore, didn't start this"
    )
    return f"mqtt.user is {user}, without a password: mqtt.password_file is null, and {credential}"


def changed_password(password_file: str | None) -> str | None:
    """Say how a new password is taken up where systemd hands it over; None where it is a file."""
    if password_file or _systemd_credential("mqtt-password") is None:
        return None
    return (
        "systemd hands over a password that was changed in /etc/credstore only at a start:"
        " systemctl restart rainwatchd"
    )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its very name, so that nothing can listen in between."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _systemd_credential(name: str) -> str | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory, name) if directory else None
    return _read(path) if path and path.exists() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; it should hold the secret") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8") from error
