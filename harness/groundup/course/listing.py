"""What tests a chapter has, read from their source: no test is imported, so neither pytest nor Scapy need be."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from groundup.course.files import CourseError, read_text

_MARKERS = frozenset({"points", "needs", "hidden", "timeout", "read"})


@dataclass(frozen=True)
class ChapterTest:
    """One test of a chapter, as its source declares it.

    `title` is the first sentence of the docstring: what a learner reads when the test fails. `reads` names man pages
    and RFC sections. `timeout` is in seconds, None where the harness's own applies.
    """

    name: str
    title: str
    points: float
    needs: tuple[str, ...]
    hidden: bool
    reads: tuple[str, ...]
    timeout: float | None
    file: Path
    line: int

    @property
    def graded(self) -> bool:
        """A test counts towards the mark if it gives points."""
        return self.points > 0


def list_tests(directory: Path) -> list[ChapterTest]:
    """Return the tests of the `test_*.py` files in `directory`, in the order in which pytest would run them.

    Raises `CourseError` for a file that is not Python, for markers that cannot be read without running them and for
    two tests of one name: a test's name is its identity in results, hints and mutants.
    """
    found: dict[str, ChapterTest] = {}
    for path in sorted(directory.glob("test_*.py")):
        for test in _tests_of_file(path):
            if test.name in found:
                raise CourseError(f"{path}:{test.line}: {test.name} exists already in {found[test.name].file.name}")
            found[test.name] = test
    return list(found.values())


def _tests_of_file(path: Path) -> list[ChapterTest]:
    try:
        module = ast.parse(read_text(path), filename=str(path))
    except SyntaxError as error:
        raise CourseError(f"{path}:{error.lineno}: {error.msg}") from error
    return [
        _test_of_function(path, node)
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _test_of_function(path: Path, function: ast.FunctionDef) -> ChapterTest:
    marks = dict(filter(None, (_marker(path, node) for node in function.decorator_list)))
    return ChapterTest(
        name=function.name,
        title=_first_sentence(ast.get_docstring(function) or ""),
        points=_one_number(path, function, marks, "points") or 0,
        needs=_texts(path, function, marks, "needs"),
        hidden="hidden" in marks,
        reads=_texts(path, function, marks, "read"),
        timeout=_one_number(path, function, marks, "timeout"),
        file=path,
        line=function.lineno,
    )


def _marker(path: Path, decorator: ast.expr) -> tuple[str, list[object]] | None:
    """Return the name and arguments of `@points(1)`, `@hidden`, `@marks.read("…")`; None if it is no marker."""
    call = decorator if isinstance(decorator, ast.Call) else None
    target = call.func if call else decorator
    name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
    if name not in _MARKERS:
        return None
    if call is None:
        return name, []
    try:
        return name, [ast.literal_eval(argument) for argument in (*call.args, *(k.value for k in call.keywords))]
    except ValueError:
        raise CourseError(f"{path}:{decorator.lineno}: @{name} takes literal values only") from None


def _one_number(path: Path, function: ast.FunctionDef, marks: dict[str, list[object]], name: str) -> float | None:
    if name not in marks:
        return None
    match marks[name]:
        case [int() | float() as value] if value > 0:
            return value
    raise CourseError(f"{path}:{function.lineno}: @{name} of {function.name} takes one number above 0")


def _texts(path: Path, function: ast.FunctionDef, marks: dict[str, list[object]], name: str) -> tuple[str, ...]:
    texts = marks.get(name, [])
    if (name in marks and not texts) or not all(isinstance(text, str) for text in texts):
        raise CourseError(f"{path}:{function.lineno}: @{name} of {function.name} takes strings")
    return tuple(str(text) for text in texts)


def _first_sentence(docstring: str) -> str:
    """Return the first sentence on one line. "e.g. this" does not end one: what follows must begin with a capital."""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`\"'])", paragraph, maxsplit=1)[0]
