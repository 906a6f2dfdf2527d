#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads OpenMetrics text from standard input with the reference parser, which refuses what is not valid. Each
argument is an expression that must be true of m, a function: m(NAME, label=value ...) is the sum of the
samples of this name that have these labels; n(NAME, ...) is their count. Exits 77 without the parser."""
import sys

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    print("skipped: the Debian package python3-prometheus-client is not installed")
    sys.exit(77)

text = sys.stdin.read()
samples = [s for family in text_string_to_metric_families(text) for s in family.samples]


def find(name, labels):
    return [s.value for s in samples
            if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())]


def m(name, **labels):
    return sum(find(name, labels))


def n(name, **labels):
    return len(find(name, labels))


bad = [e for e in sys.argv[1:] if not eval(e)]  # ours, not a stranger's
for expression in bad:
    print(f"not true: {expression}\n{text}", file=sys.stderr)
sys.exit(1 if bad or not samples else 0)
