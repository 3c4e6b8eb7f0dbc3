"""systemd's notification protocol, sd_notify(3): one datagram to the socket it names."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

logger = logging.getLogger(__name__)


class SystemdNotify:
    """Tells systemd that the service is ready, alive, reloading or stopping.

    Does nothing where no ``NOTIFY_SOCKET`` is set, as in a terminal.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of Linux' abstract socket names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._reported = False
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval_us = environment.get("WATCHDOG_USEC", "") if watched else ""
        self.watchdog_s = int(interval_us) / 1e6 if interval_us.isdigit() else None
        """Seconds after which systemd restarts a silent service; None without a watchdog."""

    def ready(self) -> None:
        """Say that listening has begun, or that a reload is over."""
        self._send("READY=1")

    def watchdog(self) -> None:
        """Say that the service does its work; only for whoever knows that it does."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service shuts down in good order."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(message.encode(), self._address)
        except OSError as error:
            level = logging.DEBUG if self._reported else logging.WARNING
            logger.log(level, "systemd's socket %s takes no message: %s", self._address, error)
            self._reported = True
