"""Runs every benchmark of this folder, each in a process of its own, and prints its table."""

from __future__ import annotations

import argparse
import pkgutil
import subprocess
import sys

from tests import benchmarks


def main() -> int:
    """Run what the command line names, or all; exit status 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if not module.name.startswith("_")
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names = parser.parse_args().names or known
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    failed = False
    for name in names:
        print(f"## {name}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", f"{benchmarks.__name__}.{name}"], check=False)
        failed |= done.returncode != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
