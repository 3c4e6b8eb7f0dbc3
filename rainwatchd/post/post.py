"""The post: broker, store, pages, in the order of the flow."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from rainwatchd.errors import ConfigError, RainwatchError
from rainwatchd.post.options import PostConfig
from rainwatchd.post.records.clips import ClipFolder
from rainwatchd.post.records.intake import Intake
from rainwatchd.post.records.queries import Queries
from rainwatchd.post.records.registry import Registry
from rainwatchd.post.records.store import Store
from rainwatchd.post.records.verdicts import Verdicts
from rainwatchd.post.subscriber import Subscriber
from rainwatchd.post.web.accounts import Accounts
from rainwatchd.post.web.live import Hub
from rainwatchd.post.web.server import Server

log = logging.getLogger(__name__)

STOP_S = 3
"""For open requests at the end."""

_PASSWORD_IN_THE_CLEAR = (
    "listen.host is {host}: passwords would travel as plain text: set listen.tls_cert_file,"
    " or listen.allow_plaintext_password if the network is your own"
)


class _Web(uvicorn.Server):
    """Ends the streams first: a page would hold on to its own for ever."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for the wish to end in order; uvicorn would die of it after."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.leave)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        self._hub.end()
        await super().shutdown(sockets)

    def leave(self) -> None:
        """Stop serving, from any thread."""
        self.should_exit = True


def serve(config: PostConfig) -> None:
    """Run the post until SIGTERM; raise `RainwatchError` where it can't start or go on."""
    directory = Path(config.state_directory)
    accounts = Accounts(directory)
    check_exposure(config, accounts)
    listener = open_listener(config)
    store = Store(directory)
    registry = Registry(store)
    verdicts = Verdicts(store, registry)
    intake = Intake(store, registry, verdicts)
    clips = ClipFolder(directory / "clips", config.storage, store, intake)
    queries = Queries(store, config.positions, config.silent_after_s)
    hub = Hub(store, queries)
    subscriber = Subscriber(config, store, intake=intake, verdicts=verdicts, clips=clips, hub=hub)
    server = Server(
        config,
        store,
        registry=registry,
        verdicts=verdicts,
        queries=queries,
        clips=clips,
        accounts=accounts,
        hub=hub,
        subscriber=subscriber,
    )
    settings = uvicorn.Config(
        server.app,
        http="h11",
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_S,
        ssl_certfile=config.listen.tls_cert_file,
        ssl_keyfile=config.listen.tls_key_file,
    )
    web = _Web(settings, hub)
    subscriber.start(on_end=web.leave)
    try:
        log.info("the post is at %s", address(config, listener))
        asyncio.run(web.serve(sockets=[listener]))
    finally:
        subscriber.stop()
        store.close()
        listener.close()
    if subscriber.failed:
        raise RainwatchError("what stores messages failed; the log says where")


def check_exposure(config: PostConfig, accounts: Accounts) -> None:
    """Raise `ConfigError` where strangers could look, judge, or listen in on passwords."""
    listen = config.listen
    if listen.loopback:
        return
    if not accounts.any:
        raise ConfigError(
            f"listen.host is {listen.host} and nobody has a password:"
            " rainwatch-post --add-user NAME --role ranger"
        )
    if not listen.tls and not listen.allow_plaintext_password:
        raise ConfigError(_PASSWORD_IN_THE_CLEAR.format(host=listen.host))


def open_listener(config: PostConfig) -> socket.socket:
    """Take the port; raise `ConfigError` naming what is wrong with address or certificate."""
    listen = config.listen
    if listen.tls_cert_file:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(listen.tls_cert_file, listen.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"listen.tls_cert_file {listen.tls_cert_file}: {error}") from error
    try:
        family = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((listen.host, listen.port), family=family, backlog=128)
    except OSError as error:
        raise RainwatchError(
            f"listen.host {listen.host}, port {listen.port}: {error.strerror}"
        ) from error


def address(config: PostConfig, listener: socket.socket) -> str:
    """Return what a browser is to be pointed at."""
    host = "localhost" if config.listen.loopback else socket.gethostname()
    scheme = "https" if config.listen.tls else "http"
    return f"{scheme}://{host}:{listener.getsockname()[1]}/"
