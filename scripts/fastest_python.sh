#!/bin/sh
# Prints the Python to install into: of python3 on the PATH and the system's, the one that runs Python faster.
# Builds of one version differ by a third (compiled with a profile, or not), and everything that dure does with them.
for each in python3 /usr/bin/python3; do
    command -v "$each" >/dev/null && "$each" - 2>/dev/null <<'PYTHON'
import sys
import time

import ensurepip
import venv


def work():
    began, seen = time.process_time(), {}
    for number in range(60_000):
        seen[number & 1023] = (str(number), {**{"a": number}, "b": seen})
    return time.process_time() - began


if sys.version_info >= (3, 11):
    print(f"{min(work() for _ in range(5)):.4f}", sys.executable)
PYTHON
done | sort -n | head -n 1 | cut -d ' ' -f 2-
