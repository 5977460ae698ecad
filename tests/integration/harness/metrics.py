"""Reads the Prometheus text format, and complains where a scraper would."""

import collections
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
VALUE = re.compile(r"(?:[+-]?Inf|NaN|[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class Metrics:
    def __init__(self):
        self.samples = collections.OrderedDict()  # (name, frozenset of labels) → float
        self.types = {}
        self.helps = {}
        self.faults = []

    def total(self, name, **labels):
        """The sum of all samples of that name that carry these labels."""
        return sum(
            value for (sample, have), value in self.samples.items()
            if sample == name and set(labels.items()) <= have
        )

    def labels(self, name, label):
        return {dict(have).get(label) for (sample, have) in self.samples if sample == name}


def _labels(text, fault):
    """The inside of {…}; label values may hold \\\\, \\" and \\n."""
    out, at = {}, 0
    while at < len(text):
        equals = text.find("=", at)
        if equals < 0:
            return fault("label without '='")
        name = text[at:equals]
        if not LABEL.match(name):
            fault(f"label name {name!r}")
        if text[equals + 1:equals + 2] != '"':
            return fault(f"label {name} without a quote")
        at, value = equals + 2, []
        while True:
            if at >= len(text):
                return fault(f"label {name} is not closed")
            c = text[at]
            if c == "\\":
                if text[at + 1:at + 2] not in ("\\", '"', "n"):
                    return fault(f"escape in label {name}")
                value.append({"n": "\n"}.get(text[at + 1], text[at + 1]))
                at += 2
                continue
            at += 1
            if c == '"':
                break
            value.append(c)
        if name in out:
            fault(f"label {name} twice")
        out[name] = "".join(value)
        if at < len(text):
            if text[at] != ",":
                return fault("no comma between labels")
            at += 1
    return out


def _family(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and types.get(base) in ("histogram", "summary"):
            return base
    return name


def parse(text):
    """Returns Metrics; its faults list what is wrong with the page."""
    page, last, seen = Metrics(), None, []
    if not text.endswith("\n"):
        page.faults.append("the last line has no end")
    for number, line in enumerate(text.splitlines(), 1):
        def fault(what, line=line, number=number):
            page.faults.append(f"line {number}: {what}: {line}")
        if not line:
            continue
        if line.startswith("#"):
            words = line.split(" ", 3)
            if len(words) < 4 or words[1] not in ("HELP", "TYPE"):
                fault("comment that is neither HELP nor TYPE")
                continue
            table = page.helps if words[1] == "HELP" else page.types
            if words[2] in table:
                fault(f"second {words[1]}")
            if words[1] == "TYPE" and words[3] not in TYPES:
                fault("unknown type")
            table[words[2]] = words[3]
            continue
        match = re.match(r"([^\s{]+)(?:\{(.*)\})? (\S+)(?: (-?\d+))?\Z", line)
        if not match:
            fault("no sample")
            continue
        name, inside, value, _ = match.groups()
        if not NAME.match(name):
            fault("metric name")
        if not VALUE.match(value):
            fault("value")
            continue
        labels = _labels(inside, fault) if inside else {}
        key = (name, frozenset((labels or {}).items()))
        if key in page.samples:
            fault("the same sample twice")
        page.samples[key] = float(value)
        family = _family(name, page.types)
        if family not in page.types or family not in page.helps:
            fault(f"no HELP or TYPE before {family}")
        if family != last:
            if family in seen:
                fault(f"{family} is not in one piece")
            seen.append(family)
            last = family
        if page.types.get(family) == "counter" and not name.endswith("_total"):
            fault("a counter whose name does not end in _total")
    _histograms(page)
    return page


def _histograms(page):
    for family in [n for n, t in page.types.items() if t == "histogram"]:
        series = collections.defaultdict(list)
        for (name, labels), value in page.samples.items():
            if name == family + "_bucket":
                rest = dict(labels)
                bound = rest.pop("le", None)
                if bound is None:
                    page.faults.append(f"{family}: bucket without le")
                    continue
                series[frozenset(rest.items())].append((float(bound.replace("+Inf", "inf")), value))
        for labels, buckets in series.items():
            bounds = [b for b, _ in buckets]
            counts = [c for _, c in buckets]
            if bounds != sorted(bounds) or counts != sorted(counts):
                page.faults.append(f"{family}: buckets are not in order or not cumulative")
            if not bounds or bounds[-1] != float("inf"):
                page.faults.append(f"{family}: no +Inf bucket")
            if page.samples.get((family + "_count", labels)) != counts[-1]:
                page.faults.append(f"{family}: _count is not the +Inf bucket")
            if (family + "_sum", labels) not in page.samples:
                page.faults.append(f"{family}: no _sum")
