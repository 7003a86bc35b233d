"""What a person sees: progress while it runs, and the report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rowlock.stampede.audit import FALSE_REFUSALS, Finding
from rowlock.stampede.buyers import Tally

OFFENDERS_SHOWN = 10  # of a rule; all are counted


@contextmanager
def progress(total_seats: int) -> Iterator[Callable[[Tally], None]]:
    """Seats sold, bookings a second and conflicts, on stderr, live; silent where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("seats sold"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total_seats, told="")

        def show(tally: Tally) -> None:
            per_second = tally.bookings / tally.seconds if tally.seconds else 0
            told = f"{per_second:,.0f} bookings/s, {tally.conflicts:,} conflicts"
            bar.update(task, completed=tally.sold, told=told)

        yield show


def figures(tally: Tally, attempts: int, findings: Sequence[Finding] | None) -> list[str]:
    """The report's figures, a line each. `findings` None: there was no audit."""
    latencies = sorted(tally.latencies)
    seconds = tally.seconds or 1e-9
    answered = len(latencies)
    refused = "not audited"
    if findings is not None:
        refused = f"{sum(len(f.offenders) for f in findings if f.rule == FALSE_REFUSALS):,}"
    rows = [
        ("attempts", f"{attempts:,}", f"in {tally.seconds:.1f} s"),
        ("bookings", f"{tally.bookings:,}", f"{tally.bookings / seconds:,.0f} a second"),
        ("booking requests", f"{answered:,}", f"answered, {answered / seconds:,.0f} a second"),
        ("seats sold", f"{tally.sold:,}", f"of {tally.total_seats:,}"),
        ("conflicts", f"{tally.conflicts:,}", "409 seats_taken"),
        ("not enough", f"{tally.not_enough:,}", "409 not_enough_seats"),
        ("holds expired", f"{tally.expired:,}", "409 hold_expired, to those who came too late"),
        ("busy", f"{tally.busy:,}", "503, asked again after Retry-After"),
        ("replays", f"{tally.replays:,}", "the first answer again, for the same Idempotency-Key"),
        ("hang-ups", f"{tally.hang_ups:,}", "buyers that closed the connection before the answer"),
        ("lost", f"{tally.lost:,}", "requests whose connection broke, or that nobody answered"),
        ("false refusals", refused, ""),
    ]
    if tally.limited:
        rows.append(("rate-limited", f"{tally.limited:,}", "429, asked again after Retry-After"))
    lines = [f"  {name:<17}{value:>11}  {what}".rstrip() for name, value, what in rows]
    if answered:
        p50, p99 = (latencies[min(answered - 1, answered * part // 100)] for part in (50, 99))
        told = f"p50 {_ms(p50)}, p99 {_ms(p99)}, max {_ms(latencies[-1])}"
        lines.insert(3, f"  {'latency':<17}{'':>11}  {told}")
    return lines


def verdict(findings: Sequence[Finding], bookings: int) -> list[str]:
    """The audit's lines: each rule, the offenders of those that are broken, and the last word."""
    lines = [f"Audit of {bookings:,} bookings:"]
    for finding in findings:
        offenders = finding.offenders
        lines.append(f"  {'FAIL' if offenders else 'ok':<5} {finding.rule}")
        lines += [f"          {offender}" for offender in offenders[:OFFENDERS_SHOWN]]
        if len(offenders) > OFFENDERS_SHOWN:
            lines.append(f"          and {len(offenders) - OFFENDERS_SHOWN:,} more")
    broken = [finding.rule for finding in findings if finding.offenders]
    lines += ["", f"FAIL: {len(broken)} of {len(findings)} rules are broken" if broken else "PASS"]
    return lines


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
