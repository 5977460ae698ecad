"""The report as Markdown and as plain data."""

from . import goals
from .metrics import BULK, METRICS, VALUES


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(key, series):
    if series is None:
        return "–"
    text = VALUES[key].show(series.median)
    if len(series.values) > 1 and VALUES[key].better != "info":
        text += f" ± {series.iqr_percent:.0f} %"
    return text


def metric_table(name, placement, results, failures, systems):
    metric = METRICS[name]
    keys = [k for k in metric.values if any(k in r for r in results.values())] or ["ops"]
    rows = []
    for system in systems:
        if system.name in results:
            rows.append([f"{system.name}"] + [_cell(k, results[system.name].get(k)) for k in keys])
        elif (name, system.name) in failures:
            rows.append([system.name, "failed"] + [""] * (len(keys) - 1))
    head = [metric.title] + [VALUES[k].title for k in keys]
    why = [f"- {system} failed: {text}" for (of, system), text in failures.items() if of == name]
    starved = [system for system, values in results.items()
               if metric.values is BULK and goals.starved(placement, values)]
    if starved:
        why.append("- something else had the CPUs, for neither the system nor the load side was busy: "
                   + ", ".join(starved))
    return "\n".join([table(head, rows), *([""] if why else []), *why])


def goal_table(placement, metrics, systems):
    rows, without = [], []
    for goal in goals.GOALS:
        row = goals.judge(goal, placement, metrics, systems)
        value = "–" if row["value"] is None else f"{row['value']:,.3g}"
        if row["ours"] is None:
            without.append(row["goal"])
            continue
        ours = "–" if row["ours"] is None else f"{row['ours']:,.4g}"
        rows.append([f"{row['goal']} {row['what']}", row["versus"], row["bound"], ours, value,
                     row["verdict"]])
    parts = [table(["goal", "against", "wanted", "ours", "value", "verdict"], rows)] if rows else []
    if without:
        parts.append("Not measured in this run: " + ", ".join(dict.fromkeys(without)) + ".")
    return "\n\n".join(parts)


def markdown(run):
    """run: what bench/run collects, with Series inside."""
    facts = run["facts"]
    parts = ["# Benchmark", ""]
    parts += [f"- {key}: {value}" for key, value in facts.items()]
    parts += [f"- skipped: {name}: {why}" for name, why in run["skipped"].items()]
    parts += ["", "Figures are medians ± interquartile range in percent of the median. A ratio is "
              "refused as noisy when either side spreads more than 15 %. Where the relay (the system "
              "under test) is not busy (near 100 %) but the load side is, the load side is the limit: "
              "compare CPU.", ""]
    for placement, metrics in run["placements"].items():
        parts += [f"## Placement {placement}", ""]
        for name, results in metrics.items():
            parts += [metric_table(name, placement, results, run["failures"].get(placement, {}),
                                   run["systems"]), ""]
        parts += [f"### Goals, placement {placement}", "", goal_table(placement, metrics, run["systems"]), ""]
    return "\n".join(parts)


def plain(run):
    return {
        "facts": run["facts"],
        "skipped": run["skipped"],
        "failures": {placement: {f"{m} {s}": why for (m, s), why in failed.items()}
                     for placement, failed in run["failures"].items()},
        "systems": [{"name": s.name, "kind": s.kind, "role": s.role} for s in run["systems"]],
        "placements": {
            placement: {m: {s: {k: series.plain() for k, series in values.items()}
                            for s, values in results.items()} for m, results in metrics.items()}
            for placement, metrics in run["placements"].items()},
        "goals": {placement: [goals.judge(g, placement, metrics, run["systems"]) for g in goals.GOALS]
                  for placement, metrics in run["placements"].items()},
    }
