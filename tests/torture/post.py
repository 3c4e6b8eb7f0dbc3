"""A ranger's post that is killed, frozen and cut off while a device talks: nothing may be lost."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rainwatchd.decision.events import Detection
from tests.broker import Broker, Subscriber, until
from tests.detections import detection, event
from tests.post.running import Publisher, RunningPost

MOST_EVENTS = 150
STRIKES = 4
PATIENCE_S = 120.0

_SETTINGS = "allow_anonymous true\npersistence true\nautosave_interval 1\npersistence_location {}/"


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Run one broker and one post through all trials; events are never told twice."""
    numbers = itertools.count(1)
    with ExitStack() as stack:
        broker = Broker(folder, _SETTINGS.format(folder))
        broker.start()
        stack.callback(broker.stop)
        post = RunningPost(folder / "post", broker.port)
        stack.callback(post.close)
        post.start()
        post.until_ready()
        publisher = stack.enter_context(Publisher(broker.port))
        subscriber = stack.enter_context(Subscriber(broker.port))

        def trial(rng: random.Random) -> None:
            told = list(itertools.islice(numbers, rng.randint(10, MOST_EVENTS)))
            talk = threading.Thread(
                target=_talk, args=(publisher, told, random.Random(rng.random()))
            )
            talk.start()
            for _ in range(rng.randint(1, STRIKES)):
                time.sleep(rng.uniform(0.0, 0.4))
                _strike(post, broker, rng)
            talk.join()
            publisher.sent()
            _check(post, told)
            _judge(post, subscriber, broker, told, rng)
            if rng.random() < 0.3:
                # All of it has been handed over: a broker that loses power has nothing to lose.
                broker.kill()
                broker.start()
                _check(post, told)

        yield trial


def _talk(publisher: Publisher, told: list[int], rng: random.Random) -> None:
    """Say all three phases of all events and their sounds, mixed as several events at once are."""
    said: list[Detection | str] = []
    for number in told:
        at = len(said)
        for phase in event(number):
            said.insert(rng.randint(at, len(said)), phase)
            at = said.index(phase) + 1
        said.insert(rng.randint(0, len(said)), detection(number).event_id)
    for message in said:
        if isinstance(message, str):
            publisher.say(f"rainwatch/canopy-7/clip/{message}", _sound(message))
        else:
            publisher.detect(message)
        time.sleep(rng.choice((0.0, 0.0, 0.001, 0.01)))


def _strike(post: RunningPost, broker: Broker, rng: random.Random) -> None:
    assert post.process is not None
    match rng.choice(("kill", "kill", "kill", "stop", "freeze", "broker")):
        case "kill":
            post.kill()
            time.sleep(rng.choice((0.0, rng.uniform(0.0, 1.0))))
            post.start()
            if rng.random() < 0.7:
                post.until_serving()
        case "stop":
            post.until_serving()
            assert post.stop() == 0, post.log[-2000:]
            post.start()
        case "freeze":
            post.process.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(0.0, 1.0))
            post.process.send_signal(signal.SIGCONT)
        case "broker":
            broker.stop()
            time.sleep(rng.uniform(0.0, 0.5))
            broker.start()


def _check(post: RunningPost, told: list[int]) -> None:
    """Wait until every event is there to its end and with its sound."""
    post.until_serving()
    missing = {detection(number).event_id for number in told}

    def all_there() -> bool:
        for event_id in sorted(missing):
            answer = post.get(f"/events/{event_id}")
            if answer.status != 200:
                return False
            if answer.json["phase"] != "offset" or not answer.json["clip"]:
                return False
            assert post.get(f"/clips/{event_id}").content == _sound(event_id)
            missing.discard(event_id)
        return True

    until(all_there, f"{len(missing)} events", PATIENCE_S)


def _judge(
    post: RunningPost, subscriber: Subscriber, broker: Broker, told: list[int], rng: random.Random
) -> None:
    """Give a verdict just before the post dies, the broker goes, or neither."""
    event_id = detection(rng.choice(told)).event_id
    assert post.post(f"/events/{event_id}/verdict", {"verdict": "true"}).status == 200
    match rng.choice(("kill", "broker", "nothing")):
        case "kill":
            post.kill()
            post.start()
            post.until_serving()
        case "broker":
            broker.stop()
            broker.start()
    until(lambda: subscriber.on(f"/feedback/{event_id}"), "the verdict", PATIENCE_S)
    until(
        lambda: post.get(f"/events/{event_id}").json["verdict"]["delivered"],
        "the verdict to be ticked off",
        PATIENCE_S,
    )


def _sound(event_id: str) -> bytes:
    return b"OggS" + random.Random(event_id).randbytes(2000)
