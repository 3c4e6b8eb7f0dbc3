"""The card's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.evaluation.intervals import Share
from training.evaluation.kinds import CLEAR, ENGINES, MACHINES, OTHER_ENGINE, PASSING
from training.evaluation.matching import LOGGING
from training.evaluation.reach import (
    AMBIENCE_DB_A,
    DISTANCES_M,
    FULL_SCALE_DB,
    HUMIDITY_PERCENT,
    NOISE_DB_A,
    TEMPERATURE_C,
    Place,
)
from training.evaluation.reach import MACHINES as SOURCES
from training.evaluation.short_clips import ClipFigures
from training.evaluation.streams import LASTING_S
from training.evaluation.suite import SNR_DB
from training.evaluation.verdict import BARE, EVERY_MACHINE, Row, key

_SHORT_GROUPS = ("chainsaw", "engine", "passing")


def accuracy(rows: Sequence[Row]) -> str:
    """Every listener a column, every figure a line."""
    lines = [
        [f"{group} {ratio:+g} dB", *(_cell(row.recall.get(key(group, ratio))) for row in rows)]
        for group in _SHORT_GROUPS
        for ratio in SNR_DB[group]
    ]
    lines += [
        [f"{label}: false alarms in the land, at most a day", *(_alarms(r, label) for r in rows)]
        for label in (*LOGGING, "storm")
    ]
    lines.append(
        [
            "other machines that raise an alert",
            *(_cell(r.machines.get(EVERY_MACHINE)) for r in rows),
        ]
    )
    lines.append(["median time to the alert", *(_late(row) for row in rows)])
    first = rows[0]
    counted = {
        group: next((first.recall[k] for k in first.recall if k.startswith(f"{group} ")), None)
        for group in _SHORT_GROUPS
    }
    events = ", ".join(
        f"{share.count} of {group} from {share.recordings} recordings"
        for group, share in counted.items()
        if share
    )
    settings = "\n".join(f"- {row.name}: {row.setting}." for row in rows if row.setting)
    told = filled(
        f"""Share of events found, with its 95 % interval (bootstrap over recordings), at a
        signal-to-noise ratio within 50 to 4000 Hz over the event; events at each ratio: {events};
        one a minute, 12 to 25 s long, half of them with a low-pass of 1 to 8 kHz for distance. An
        alert of either logging class finds an event. *Engine*: {", ".join(CLEAR)}, unnamed;
        *passing*: {", ".join(PASSING)}. *The land*: background and storm recordings end to end,
        {first.land_h:.1f} hours; the bound on a day is that of a Poisson rate, 95 % (Garwood 1936).
        *Other machines*: each recording of 5 s or more by itself, looped to {LASTING_S:g} s where
        it is shorter."""
    )
    return f"""## How good it is, on recordings that it was not trained on

{told}

{_table(["", *(row.name for row in rows)], lines)}

{settings}"""


def engines(row: Row) -> str:
    """Every kind of engine a line."""
    columns = [BARE, *(f"{ratio:+g} dB" for ratio in SNR_DB["engine"])]
    lines = [
        [kind, str(_recordings(row.kinds[kind])), *(_cell(row.kinds[kind].get(c)) for c in columns)]
        for kind in (*ENGINES, OTHER_ENGINE)
        if kind in row.kinds
    ]
    if not lines:
        return ""
    return f"""### Engines by kind

{_table(["kind", "recordings", "as recorded", *columns[1:]], lines)}"""


def others(row: Row) -> str:
    """Every kind of what must raise no alert a line, machines first."""
    if not row.machines:
        return ""
    order = [*(k for k in MACHINES if k in row.machines), EVERY_MACHINE]
    order += [kind for kind in row.machines if kind not in order]
    lines = [
        [kind, str(row.machines[kind].recordings), _cell(row.machines[kind])]
        for kind in order
        if kind in row.machines
    ]
    as_is = row.machines_as_recorded
    more = f" Not looped, all machines: {as_is}." if as_is else ""
    return f"""### What must raise no alert

Share of the recordings that raise one of either logging class.{more}

{_table(["kind", "recordings", "raise an alert"], lines)}"""


def short_clips(figures: ClipFigures | None) -> str:
    """Two paragraphs on clips of five seconds."""
    if figures is None:
        return ""
    recall = ", ".join(f"{label} {share}" for label, share in figures.recall.items())
    wrong = ", ".join(f"{share} of {what}" for what, share in figures.false_share.items())
    text = f"""One clip of every recording, at most five seconds, is judged to be the class of its
        highest mean score among those above a threshold of their own (see
        `rainwatchd/decision/clip_judgement.py`). Judged right: {recall}. Judged a chainsaw or an
        engine: {wrong}."""
    if figures.esc50:
        folds = " / ".join(f"{right / all_:.3f}" for right, all_ in figures.esc50.values())
        total = sum(all_ for _, all_ in figures.esc50.values())
        right = sum(right for right, _ in figures.esc50.values())
        recall = ", ".join(f"{label} {share}" for label, share in figures.esc50_recall.items())
        text += f""" ESC-50's {total} clips in the data, told into four classes (its 50 mapped onto
            them; what must raise no alert is background), each by a model that has not heard it:
            {right / total:.3f} right; by its own folds {folds}; {recall}. Published for all 50
            classes, a harder task and so no comparison of models: random forest 0.443,
            convolutional network 0.645 (Piczak 2015), people 0.813."""
    return f"### Five-second clips, judged alone\n\n{filled(text)}"


def reach(found: Mapping[Place, Share]) -> str:
    """Every machine and level of ambience a line, every distance a column."""
    if not found:
        return ""
    lines = [
        [
            f"{machine.name}, {level} dB(A)",
            *(_cell(found.get((machine.name, metres, level))) for metres in DISTANCES_M),
        ]
        for machine in SOURCES
        for level in AMBIENCE_DB_A
        if any((machine.name, metres, level) in found for metres in DISTANCES_M)
    ]
    stated = " and ".join(f"a {m.name} of {m.level_db_a:g} dB(A) at 1 m" for m in SOURCES)
    count = next(iter(found.values())).count
    told = filled(
        f"""Share of {count} events of 20 s found, real recordings made into {stated} with the mean
        octave-band spectrum of their kind, over real ambience scaled to a level. Assumed: a point
        source (20 lg r), air of {TEMPERATURE_C:g} °C and {HUMIDITY_PERCENT:g} % humidity (ISO
        9613-1), dense foliage for at most 200 m (ISO 9613-2, table A.1), no ground, wind or hill, a
        microphone with a noise of {NOISE_DB_A:g} dB(A) and full scale at {FULL_SCALE_DB:g} dB. A
        truck of 97.5 dB(A) has 80 dB(A) at 7.5 m (UN R51.02). Published for one microphone in a
        forest: 520 m (Gnamele 2024). Not validated outdoors."""
    )
    return f"""### Range in metres, computed

{told}

{_table(["over ambience of", *(f"{metres} m" for metres in DISTANCES_M)], lines)}"""


def short(rows: Sequence[Row]) -> str:
    """The README's table: every listener a line, no intervals."""
    head = [
        "events found",
        *(
            f"{group} {' / '.join(f'{ratio:+g}' for ratio in SNR_DB[group])} dB"
            for group in _SHORT_GROUPS
        ),
        f"false alarms in {rows[0].land_h:.1f} h of land, chainsaw / engine",
        "other machines that alert",
        "median delay",
    ]
    lines = [
        [
            row.name,
            *(
                " / ".join(
                    f"{row.recall[key(group, ratio)].value:.2f}"
                    for ratio in SNR_DB[group]
                    if key(group, ratio) in row.recall
                )
                for group in _SHORT_GROUPS
            ),
            " / ".join(str(row.land_alarms.get(label, "-")) for label in LOGGING),
            f"{row.machines[EVERY_MACHINE].value:.0%}" if EVERY_MACHINE in row.machines else "-",
            "-" if row.latency_s is None else f"{row.latency_s[0]:.1f} s",
        ]
        for row in rows
    ]
    return _table(head, lines)


def filled(text: str) -> str:
    """Return a paragraph as one line, wherever it was broken before."""
    return " ".join(text.split())


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _cell(share: Share | None) -> str:
    return "-" if share is None else str(share)


def _alarms(row: Row, label: str) -> str:
    if label not in row.land_alarms:
        return "-"
    return f"{row.land_alarms[label]}, {row.a_day(label):.1f}"


def _late(row: Row) -> str:
    if row.latency_s is None:
        return "-"
    median, low, high = row.latency_s
    return f"{median:.1f} s ({low:.1f}-{high:.1f})"


def _recordings(columns: Mapping[str, Share]) -> int:
    return max(share.recordings for share in columns.values())
