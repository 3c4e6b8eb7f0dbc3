"""Who may do what: roles, passwords, forged requests, and what leaves by export."""

from __future__ import annotations

import base64
import csv
import io
import re
import socket
import ssl
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from rainwatchd.decision.events import Detection
from rainwatchd.post.web.accounts import Accounts
from tests.broker import Broker, until
from tests.detections import detection
from tests.post.running import Publisher, RunningPost, running
from training.dataset.layouts import read_class_folders

ANA = {"name": "ana", "password": "correct horse"}
VERDICT = f"/events/{detection(1).event_id}/verdict"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = Broker(tmp_path_factory.mktemp("broker"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def open_post(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPost]:
    """A post without passwords that has heard something."""
    with (
        running(tmp_path_factory.mktemp("open"), broker.port, name="open") as post,
        Publisher(broker.port) as devices,
    ):
        hear(post, devices)
        yield post


@pytest.fixture(scope="module")
def shut_post(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPost]:
    """A post where Ana is a ranger and Vic a viewer."""
    with shut(broker, tmp_path_factory.mktemp("shut")) as post:
        with Publisher(broker.port) as devices:
            hear(post, devices, log_in(post, "ana"))
        yield post


@contextmanager
def shut(broker: Broker, folder: Path) -> Iterator[RunningPost]:
    post = RunningPost(folder, broker.port, name=folder.name)
    for name, role in (("ana", "ranger"), ("vic", "viewer")):
        done = post.run("--add-user", name, "--role", role, stdin="correct horse\n")
        assert done.stdout == f"{name} may log in as {role}\n", done.stderr
    with post.up():
        yield post


def hear(post: RunningPost, devices: Publisher, cookie: str = "") -> None:
    devices.detect(detection(1))
    devices.sent()
    until(lambda: post.get("/events", Cookie=cookie).json["events"], "the alert")


def log_in(post: RunningPost, name: str) -> str:
    answer = post.post("/login", ANA | {"name": name})
    assert answer.status == 200, answer.content
    return str(answer.headers["Set-Cookie"].partition(";")[0])


PRIVATE = (
    "/events",
    f"/events/{detection(1).event_id}",
    f"/clips/{detection(1).event_id}",
    "/devices",
    "/devices/canopy-7",
    "/devices/canopy-7/spectrum",
    "/live",
    "/export.csv",
    "/export.zip",
    "/map/geojson",
)


@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_is_shown_to_strangers(shut_post: RunningPost, path: str) -> None:
    assert shut_post.get(path).status == 401
    assert shut_post.get(path, Cookie="rainwatch-post=forged").status == 401


def test_strangers_see_the_page_and_the_login_alone(shut_post: RunningPost) -> None:
    assert shut_post.get("/").status == 200
    about = shut_post.get("/about").json
    assert (about["role"], about["passwords"], about["classes"]) == (None, True, [])


def test_a_viewer_looks_and_a_ranger_judges(shut_post: RunningPost) -> None:
    vic, ana = log_in(shut_post, "vic"), log_in(shut_post, "ana")
    assert shut_post.get("/about", Cookie=vic).json["role"] == "viewer"
    assert shut_post.get("/events", Cookie=vic).status == 200
    assert shut_post.post(VERDICT, {"verdict": "true"}, {"Cookie": vic}).status == 403
    assert shut_post.get("/devices/canopy-7/spectrum", Cookie=vic).status == 403
    answer = shut_post.post(VERDICT, {"verdict": "true"}, {"Cookie": ana})
    assert answer.json["verdict"]["by"] == "ana"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(shut_post: RunningPost) -> None:
    cookie = shut_post.post("/login", ANA).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    gone = shut_post.post("/logout", {}, {"Cookie": cookie.partition(";")[0]})
    assert gone.json["role"] is None
    assert "Max-Age=0" in gone.headers["Set-Cookie"]


def test_a_changed_cookie_is_worth_nothing(shut_post: RunningPost) -> None:
    cookie = log_in(shut_post, "vic")
    name, _, signature = cookie.partition("=")[2].partition(".")
    claimed = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).replace(b"vic", b"ana")
    forged = base64.urlsafe_b64encode(claimed).decode().rstrip("=")
    assert shut_post.get("/events", Cookie=f"rainwatch-post={forged}.{signature}").status == 401


def test_a_new_password_ends_what_the_old_one_began(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.put("ana", "viewer", "old password")
    user = accounts.verify("ana", "old password")
    assert user is not None
    cookie = accounts.cookie(user)
    assert accounts.who(cookie) == user
    Accounts(tmp_path).put("ana", "ranger", "new password")
    assert accounts.who(cookie) is None
    assert accounts.verify("ana", "old password") is None
    Accounts(tmp_path).remove("ana")
    assert not accounts.any


def test_secrets_are_for_the_post_alone(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.put("ana", "viewer", "old password")
    user = accounts.verify("ana", "old password")
    assert user is not None
    accounts.cookie(user)
    assert "old password" not in (tmp_path / "users").read_text()
    for name in ("users", "cookie.key"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_passwords_cannot_be_guessed_at_speed(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # A post of its own: nobody logs in there for a minute afterwards.
    with shut(broker, tmp_path_factory.mktemp("guessed")) as post:
        wrong = ANA | {"password": "wrong"}
        codes = [post.post("/login", wrong).status for _ in range(7)]
        assert codes == [401] * 5 + [429] * 2
        held_off = post.post("/login", ANA)
        assert held_off.status == 429
        assert 0 < int(held_off.headers["Retry-After"]) <= 61


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
    ids=str,
)
def test_another_site_cannot_judge(
    open_post: RunningPost, headers: dict[str, str], status: int
) -> None:
    assert open_post.post(VERDICT, {"verdict": "true"}, headers).status == status


def test_the_page_itself_can(open_post: RunningPost) -> None:
    own = {"Origin": f"http://127.0.0.1:{open_post.port}", "Sec-Fetch-Site": "same-origin"}
    assert open_post.post(VERDICT, {"verdict": "unsure"}, own).status == 200


def test_a_foreign_name_for_this_machine_is_refused(open_post: RunningPost) -> None:
    assert open_post.get("/events", Host="evil.example").status == 421
    assert open_post.get("/events", Host="localhost").status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"verdict": "perhaps"}, 400),
        ({"verdict": True}, 400),
        ({}, 400),
        ({"verdict": "true", "class": "x" * 65}, 400),
        ({"verdict": "true", "by": "somebody else"}, 400),
        ([], 400),
        ("x" * 9000, 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_verdict_that_means_nothing_is_refused(
    open_post: RunningPost, body: object, status: int
) -> None:
    answer = open_post.post(VERDICT, body)
    assert answer.status == status
    assert "error" in answer.json


def test_what_is_not_there_is_said_so(open_post: RunningPost) -> None:
    for path in ("/nothing", "/events/x", "/devices/x", "/page/../options.py", "/map/picture"):
        answer = open_post.get(path)
        assert answer.status == 404, path
    missing = f"/events/{detection(99).event_id}/verdict"
    assert open_post.post(missing, {"verdict": "true"}).status == 404
    for query in ("limit=0", "limit=9999", "limit=x", "before=x", "verdict=x", "since=x"):
        assert open_post.get(f"/events?{query}").status == 400, query
    assert open_post.request("DELETE", "/events").status == 405


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "nobody has a password"),
        ({"tls_cert_file": "/nowhere.crt"}, "tls_cert_file /nowhere.crt"),
        ({"host": "192.0.2.1"}, "nobody has a password"),
    ],
)
def test_strangers_are_not_let_in_by_mistake(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    done = RunningPost(tmp_path, 1, listen=settings).run()
    assert done.returncode == 78
    assert said in done.stderr


def test_passwords_over_a_network_want_encryption(tmp_path: Path) -> None:
    post = RunningPost(tmp_path, 1, listen={"host": "0.0.0.0"})
    assert post.run("--add-user", "ana", stdin="short\n").returncode == 78
    post.run("--add-user", "ana", stdin="long enough\n")
    done = post.run()
    assert done.returncode == 78
    assert "plain text" in done.stderr


def test_the_page_is_served_over_tls(tmp_path: Path, certificates: Path) -> None:
    files = {
        "tls_cert_file": str(certificates / "server.crt"),
        "tls_key_file": str(certificates / "server.key"),
    }
    post = RunningPost(tmp_path, 1, listen=files)
    post.start()
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    try:

        def answers() -> bool:
            try:
                with urllib.request.urlopen(
                    f"https://localhost:{post.port}/about", context=context, timeout=5
                ) as answer:
                    return bool(answer.status == 200)
            except (ConnectionError, urllib.error.URLError):
                return False

        until(answers, "the page over TLS")
    finally:
        post.close()


def test_check_says_what_is_well_and_what_is_not(
    tmp_path: Path, broker: Broker, open_post: RunningPost
) -> None:
    post = RunningPost(tmp_path, broker.port, name="checked")
    done = post.run("--check")
    assert done.returncode == 0, done.stdout
    assert f"127.0.0.1:{broker.port} answers and lets the post read" in done.stdout
    assert not post.state.exists()
    lost = RunningPost(
        tmp_path, 1, listen={"port": open_post.port}, map={"geojson_file": "/nowhere"}
    ).run("--check")
    assert lost.returncode == 1
    assert re.findall(r"(?m)^FAIL +(\w+)", lost.stdout) == ["page", "map", "broker"]


def judged(number: int, label: str = "chainsaw") -> Detection:
    return msgspec.structs.replace(detection(number), label=label)


@pytest.fixture(scope="module")
def labelled(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPost]:
    """A post with sounds that were judged in every way."""
    sound = (Path(__file__).parents[1] / "recordings/chainsaw/esc10_008_1-64398-A.ogg").read_bytes()
    with (
        running(tmp_path_factory.mktemp("labelled"), broker.port, name="labelled") as post,
        Publisher(broker.port) as devices,
    ):
        devices.detect(*(judged(number) for number in range(20, 25)), judged(25, "=cmd|'x'!A1"))
        for number in range(20, 26):
            devices.say(f"rainwatch/canopy-7/clip/{detection(number).event_id}", sound)
        until(lambda: sum(one["clip"] for one in post.events()) == 6, "the sounds")
        for number, verdict, label in (
            (20, "true", None),
            (21, "false", None),
            (22, "false", "../../engine"),
            (23, "unsure", None),
            (25, "true", None),
        ):
            path = f"/events/{detection(number).event_id}/verdict"
            assert post.post(path, {"verdict": verdict, "class": label}).status == 200
        yield post


def test_judged_sounds_are_ready_to_learn_from(labelled: RunningPost, tmp_path: Path) -> None:
    answer = labelled.get("/export.zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "engine", "cmd__x__A1", "background", "chainsaw", "labels.csv"
    }  # fmt: skip
    # A class that no model knows is left alone.
    labels = sorted(clip.label for clip in read_class_folders(tmp_path))
    assert labels == ["background", "chainsaw", "engine"]
    assert (tmp_path / "labels.csv").read_text().count("\n") == 5


def test_an_export_is_filtered_as_the_list_is(labelled: RunningPost) -> None:
    found = labelled.get("/export.zip?verdict=true&class=chainsaw").content
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        names = archive.namelist()
    assert names == ["chainsaw/canopy-7_20240512T000020Z_000000000014.opus", "labels.csv"]


def test_the_table_is_whole_and_no_cell_is_a_formula(labelled: RunningPost) -> None:
    answer = labelled.get("/export.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert len(rows) == 6
    by_id = {row["event_id"]: row for row in rows}
    said = by_id[detection(22).event_id]
    assert (said["verdict"], said["verdict_class"], said["lat"]) == (
        "false",
        "../../engine",
        "-3.1",
    )
    assert by_id[detection(25).event_id]["class"].startswith("'=cmd")
    assert by_id[detection(24).event_id]["verdict"] == ""


def test_slow_and_broken_browsers_do_not_stop_the_others(open_post: RunningPost) -> None:
    idle = []
    for _ in range(30):
        connection = socket.create_connection(("127.0.0.1", open_post.port))
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n")
        idle.append(connection)
    with socket.create_connection(("127.0.0.1", open_post.port)) as noise:
        noise.sendall(b"\x00\xff" * 5000)
    assert open_post.get("/about").status == 200
    for connection in idle:
        connection.close()


def test_there_is_an_end_to_open_pages(open_post: RunningPost) -> None:
    streams = []

    def status() -> bytes:
        """Open one more and return what it is told."""
        connection = socket.create_connection(("127.0.0.1", open_post.port))
        streams.append(connection)
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection.recv(12)

    try:
        told = [status() for _ in range(102)]
        assert told == [b"HTTP/1.1 200"] * 100 + [b"HTTP/1.1 503"] * 2
        assert open_post.get("/about").status == 200
    finally:
        for connection in streams:
            connection.close()
    until(lambda: status() == b"HTTP/1.1 200", "room for others again")
    streams[-1].close()
