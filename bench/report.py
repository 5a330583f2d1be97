"""Results as a table, as JSON and as `RESULTS.md`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import Result, Row, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
NOTES, RESULTS, DATA = HERE / "notes.md", HERE / "RESULTS.md", HERE / "results"
_HEAD = """\
# How fast claudy is

Made by `python -m bench`, never typed; see [README.md](README.md) for what is measured and how.
Medians, and in brackets the quartiles, of runs that took turns. A ratio compares with the line it
names, in the same run.
"""


@dataclass(frozen=True)
class Run:
    """One run of the benchmark on one engine.

    Args:
        facts: machine and versions.
        results: what was measured.
    """

    facts: Mapping[str, str]
    results: Sequence[Result]

    @property
    def verdicts(self) -> list[Verdict]:
        """All targets."""
        return [v for result in self.results for v in result.verdicts if v.demanded]


def as_json(run: Run) -> str:
    """Return one JSON object with all that was measured."""
    results = [
        {
            "section": result.section,
            "title": result.title,
            "unit": result.unit,
            "remark": result.remark,
            "rows": [
                {
                    "name": row.name,
                    "median": round(row.median, 3),
                    "quartiles": [round(q, 3) for q in row.quartiles],
                    "samples": [round(sample, 3) for sample in row.samples],
                }
                for row in result.rows
            ],
            "targets": [asdict(verdict) for verdict in result.verdicts],
        }
        for result in run.results
    ]
    text = json.dumps({"facts": dict(run.facts), "results": results}, indent=1)
    # A list of numbers is one line: it is read, and compared, as a whole.
    return re.sub(r"\[\s+([-0-9.,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def from_json(text: str) -> Run:
    """Return a run from what `as_json` made of it."""
    parsed: dict[str, Any] = json.loads(text)
    return Run(
        parsed["facts"],
        [
            Result(
                result["section"],
                result["title"],
                result["unit"],
                tuple(Row(row["name"], tuple(row["samples"])) for row in result["rows"]),
                tuple(Verdict(**target) for target in result["targets"]),
                result["remark"],
            )
            for result in parsed["results"]
        ],
    )


def as_table(run: Run) -> str:
    """Return the results for a terminal."""
    return "\n".join([*_facts(run), "", *_aligned(run)])


def save(run: Run) -> None:
    """Keep a run, one for each engine version, and write RESULTS.md from all that are kept."""
    DATA.mkdir(exist_ok=True)
    engine = run.facts["engine"].split()[1].rstrip(",")
    (DATA / f"{engine.replace('+', '-')}.json").write_text(as_json(run) + "\n", encoding="utf-8")
    write_results()


def write_results() -> None:
    """Write RESULTS.md from the kept runs and the notes."""
    parts = [_HEAD]
    for file in sorted(DATA.glob("*.json")):
        run = from_json(file.read_text(encoding="utf-8"))
        parts.append("\n".join(_markdown(run)))
    if NOTES.exists():
        parts.append(NOTES.read_text(encoding="utf-8").rstrip())
    RESULTS.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _facts(run: Run) -> list[str]:
    return [f"{name}: {value}" for name, value in run.facts.items()]


def _markdown(run: Run) -> Iterator[str]:
    engine = run.facts["engine"].split(",")[0]
    met = sum(verdict.met for verdict in run.verdicts)
    yield f"## {engine}\n"
    yield from (f"- {line}" for line in _facts(run))
    yield f"\n**{met} of {len(run.verdicts)} targets met.**\n"
    yield "| | | median | quartiles | n |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for result in run.results:
        where = f"{result.section}: {result.title}"
        if not result.rows:
            yield f"| {where} | {result.remark} | | | |"
        for row in result.rows:
            low, high = row.quartiles
            digits = 0 if row.median >= 100 else 1
            yield (
                f"| {where} | {_escaped(row.name)} | {row.median:.{digits}f} {result.unit} "
                f"| {low:.{digits}f} - {high:.{digits}f} | {len(row.samples)} |"
            )
            where = ""
    yield "\n| target | | ratio | |"
    yield "| --- | --- | ---: | --- |"
    for result in run.results:
        for verdict in result.verdicts:
            yield (
                f"| {result.section}: {result.title} | {_escaped(verdict.text)} "
                f"| {verdict.value:.2f} | {_word(verdict)} |"
            )
    yield ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<TAB>", "⇥")


def _word(verdict: Verdict) -> str:
    if not verdict.demanded:
        return "for comparison"
    return "met" if verdict.met else "**not met**"


def _aligned(run: Run) -> Iterator[str]:
    for result in run.results:
        yield f"{result.section}: {result.title}  {result.remark}".rstrip()
        for row in result.rows:
            low, high = row.quartiles
            yield (
                f"    {row.name:<34} {row.median:9.1f} {result.unit:<5}"
                f" [{low:.1f} - {high:.1f}]  n={len(row.samples)}"
            )
        for verdict in result.verdicts:
            yield f"    {verdict.text:<60} {verdict.value:6.2f}  {_word(verdict).replace('*', '')}"
        yield ""
    met = sum(verdict.met for verdict in run.verdicts)
    yield f"{met} of {len(run.verdicts)} targets met"
