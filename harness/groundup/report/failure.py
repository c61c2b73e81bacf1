"""The report of one test that failed: what it was about, what happened, what is probably wrong, what to do next."""

from __future__ import annotations

import shlex

from groundup.report.bytediff import diff_lines
from groundup.report.text import Style, columns, fit, pad, plural, points_text, visible, visible_lines, wrap
from groundup.result import Outcome, Step, TestResult

STEPS_FIRST = 4  # of a test with very many steps: as many of the first, of the last, and around the failed one
STEPS_LAST = 12
STEPS_MOST = 24
DETAIL_LINES = 6  # of a step's text, and of its detail
STDERR_LINES = 16
STDOUT_LINES = 8
SYSCALL_LINES = 12
TEXT_COLUMN = 26  # a step's detail begins beside its text from here on
_LABEL = 11


def failure_lines(test: TestResult, number: str, seed: int, style: Style) -> list[str]:
    """Return the full report of a failed (or unjudged) test of chapter `number`; of a hidden one only its points."""
    lines = [_heading(test, number, style)]
    if test.hidden:
        return [*lines, f"  {test.message}; what it does is not shown"]
    lines += wrap(test.title, style.width, "  ")
    sections = (
        _steps(test.steps, style),
        [f"  {line}" for line in diff_lines(test.diff, _narrower(style))] if test.diff else [],
        _prose(test, style),
        _stream("the program's stdout", _unexpected(test.stdout), STDOUT_LINES, style),
        _stream("the program's stderr", test.stderr, STDERR_LINES, style),
        _syscalls(test.syscalls, style),
        [f"  {fit(line, style.width - 2)}" for line in visible_lines(test.diagram)],
        _next(test, number, seed, style),
    )
    for section in sections:
        if section:
            lines += ["", *section]
    return lines


def _heading(test: TestResult, number: str, style: Style) -> str:
    score = "not judged" if test.score is None else f"{points_text(test.score)} of {plural(test.max_score, 'point')}"
    name = fit(f"{number} {'a hidden test' if test.hidden else visible(test.id)}", style.width - columns(score) - 4)
    gap = " " * (style.width - 2 - columns(name) - columns(score))
    return f"{style.mark(test.outcome)} {style.paint(name, 'bold')}{gap}{style.tint(score, test.outcome)}"


def _narrower(style: Style) -> Style:
    return Style(colour=style.colour, symbols=style.symbols, width=style.width - 2)


def _steps(steps: tuple[Step, ...], style: Style) -> list[str]:
    lines: list[str] = []
    shown = _chosen(steps)
    digits = max((len(str(step.n)) for step in shown), default=1)
    actor = max((columns(visible(step.actor)) for step in shown), default=0)
    previous: int | None = None
    for step in shown:
        if previous is not None and step.n > previous + 1:
            lines.append(f"   {'…':>{digits}}  {plural(step.n - previous - 1, 'step')} left out")
        lines += _step(step, digits, min(actor, 12), style)
        previous = step.n
    return lines


def _chosen(steps: tuple[Step, ...]) -> list[Step]:
    """Choose the steps to show: all, or the first and the last few and those before the failed one."""
    if len(steps) <= STEPS_MOST:
        return list(steps)
    failed = next((i for i, step in enumerate(steps) if step.failed), len(steps))
    keep = {*range(STEPS_FIRST), *range(len(steps) - STEPS_LAST, len(steps)), *range(max(0, failed - 4), failed + 2)}
    return [step for i, step in enumerate(steps) if i in keep]


def _step(step: Step, digits: int, actor: int, style: Style) -> list[str]:
    """Lay one step out: mark, number, actor, text; its detail beside the text if both fit, else below it."""
    mark = style.paint("▸", "red") if step.failed else " "
    lead = f" {mark} {step.n:>{digits}}  {pad(fit(visible(step.actor), actor), actor)}   "
    indent = 3 + digits + 2 + actor + 3
    room = max(20, style.width - indent)
    text = _thinned(wrap(step.text, room)) or [""]
    detail = visible_lines(step.detail, most=DETAIL_LINES)
    if len(text) == len(detail) == 1:
        beside = f"{pad(text[0], TEXT_COLUMN)}  {detail[0]}"
        if columns(beside) <= room:
            text, detail = [beside], []
    rest = [*text[1:], *(fit(line, room) for line in detail)]
    first = style.paint(text[0], "bold") if step.failed else text[0]
    return [lead + first, *(" " * indent + line for line in rest)]


def _thinned(lines: list[str]) -> list[str]:
    """Keep so many lines as a step may take."""
    return lines if len(lines) <= DETAIL_LINES else [*lines[: DETAIL_LINES - 1], "…"]


def _prose(test: TestResult, style: Style) -> list[str]:
    """Return what is probably wrong: the message, unless the failed step says the same, and the reason."""
    failed = test.failed_step
    said = failed is not None and test.message.rstrip(".:") in f"{failed.text}\n{failed.detail}"
    message = [] if said or not test.message else wrap(_sentence(test.message), style.width, "  ")
    why = wrap(_sentence(test.why), style.width, "  ") if test.why and test.why != test.message else []
    return [*(style.paint(line, "bold") for line in message), *why]


def _sentence(text: str) -> str:
    """Give prose its capital and its full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")


def _stream(label: str, text: str, most: int, style: Style) -> list[str]:
    lines = visible_lines(text, most=most)
    return [f"  {label}", *(f"    {fit(line, style.width - 4)}" for line in lines)] if lines else []


def _unexpected(stdout: str) -> str:
    """Return what the server printed, unless it is the one line that every server prints."""
    return "" if stdout.startswith("listening on ") and stdout.find("\n") in {-1, len(stdout) - 1} else stdout


def _syscalls(calls: tuple[str, ...], style: Style) -> list[str]:
    if not calls:
        return []
    return ["  the program's last system calls"] + [
        f"    {fit(visible(call), style.width - 4)}" for call in calls[-SYSCALL_LINES:]
    ]


def _next(test: TestResult, number: str, seed: int, style: Style) -> list[str]:
    name = shlex.quote(visible(test.id))
    rows = [("capture", visible(test.capture)), ("read", "; ".join(visible(where) for where in test.read))]
    rows += [("again", f"./groundup check {number} {name} --seed {seed}")]
    rows += [("a hint", f"./groundup hint {number} {name}")] if test.outcome is Outcome.FAIL else []
    lines: list[str] = []
    for label, text in rows:
        if text:
            first, *rest = (
                wrap(text, style.width, " " * (_LABEL + 2)) if label == "read" else [" " * (_LABEL + 2) + text]
            )
            lines += [f"  {label:<{_LABEL}}{first.lstrip()}", *rest]
    return lines
