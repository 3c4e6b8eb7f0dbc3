"""Which files, pipes and sockets a process holds open, look by look."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path


class Descriptors:
    """Looks at a process's descriptors; says how many it holds and what comes and goes."""

    def __init__(self, process_id: int) -> None:
        self._folder = Path(f"/proc/{process_id}/fd")
        self._looks: list[Counter[str]] = []

    def look(self) -> None:
        """Note what is open now."""
        held: Counter[str] = Counter()
        for descriptor in self._folder.iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue  # Closed since, the listing's own among them.
            # Numbers would make each pipe and each clip a kind of its own.
            kind, _, inode = target.partition(":[")
            held[kind if inode else Path(target).suffix or target] += 1
        self._looks.append(held)

    def __str__(self) -> str:
        """Say how many are held, and in how many looks there were others, and which."""
        if not self._looks:
            return "not looked at"
        counts = [look.total() for look in self._looks]
        usual = statistics.mode(counts)
        common = self._looks[counts.index(usual)]
        passing = [look - common for look in self._looks if look.total() != usual]
        if not passing:
            return f"{usual}, in {len(counts)} looks"
        others = ", ".join(sorted({name for look in passing for name in look})) or "fewer"
        return f"{usual}; in {len(passing)} of {len(counts)} looks {max(counts)}: {others}"
