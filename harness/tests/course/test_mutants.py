from collections.abc import Callable

import pytest

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError
from groundup.course.mutants import list_mutants, mutated_files, parse_mutant

Edit = Callable[[str, str, str], None]
PATCH = "mutants/m0.patch"
HEADER = "mistake: m\nkilled-by: test_prints\nmessage: x\n\n--- a/answer.c\t2024-01-01\n+++ b/answer.c\t2024-01-01\n"


def mutate(chapter: Chapter, hunks: str) -> str:
    path = chapter.directory / PATCH
    path.write_text(HEADER + hunks)
    return mutated_files(chapter, parse_mutant(path))["answer.c"]


def test_header_and_diff(chapter: Chapter) -> None:
    mutant = list_mutants(chapter)[0]
    assert (mutant.name, mutant.mistake, mutant.killed_by) == ("m0", "answers with another number", "test_prints")
    assert mutant.named_by("expected 42 but it printed 41")
    assert mutant.named_by("Another number")
    assert not mutant.named_by("something else")
    original = chapter.source.read_text()
    assert mutated_files(chapter, mutant) == {"answer.c": original.replace("return 42;", "return 41;")}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("mistake: ", "error: ", r"m0\.patch: 'error: .*' is not one of the header's lines"),
        ("mistake: answers with another number\n", "", "the header has no line 'mistake:'"),
        ("killed-by: test_prints", "mistake: twice", "is not one of the header's lines"),
        ("killed-by: test_prints", "killed-by:", "is not one of the header's lines"),
        ("message: 41|", "message: (41|", "'message' is not a regular expression"),
        ("\n\n---", "\n---", "is not one of the header's lines"),
        ("-    return 42;\n", "", "hunk 1 has fewer lines"),
        ("-    return 42;\n", "-    return 42;\n+    x;\n", "hunk 1 has more lines"),
        ("--- answer.c\n+++ answer.c\n", "", "hunk 1 comes before the line '--- FILE'"),
        ("@@ -3", "@@ x", "not a line of a unified diff"),
    ],
)
def test_faults_are_named(chapter: Chapter, edit: Edit, old: str, new: str, complaint: str) -> None:
    edit(PATCH, old, new)
    with pytest.raises(CourseError, match=complaint):
        parse_mutant(chapter.directory / PATCH)


def test_no_diff_at_all(chapter: Chapter) -> None:
    path = chapter.directory / PATCH
    path.write_text("mistake: m\nkilled-by: t\nmessage: x\n")
    with pytest.raises(CourseError, match="no unified diff"):
        parse_mutant(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("-    return 42;", "-    return  42;", r"m0\.patch: hunk 1 does not apply: .* are not in the source"),
        (" {\n", " {  \n", "hunk 1 does not apply"),
        ("+++ answer.c", "+++ other.c", "it changes other.c, which is not a source of 07-answer"),
        ("+    return 41;", "+    return 42;", "it changes nothing"),
    ],
)
def test_a_patch_that_does_not_fit_is_never_forced(
    chapter: Chapter, edit: Edit, old: str, new: str, complaint: str
) -> None:
    edit(PATCH, old, new)
    with pytest.raises(CourseError, match=complaint):
        mutated_files(chapter, parse_mutant(chapter.directory / PATCH))


def test_an_edit_further_up_moves_the_hunk(chapter: Chapter, edit: Edit) -> None:
    edit("answer.c", "#include <stdio.h>\n", "#include <stdio.h>\n\nint x;\n")
    assert "return 41;" in mutated_files(chapter, list_mutants(chapter)[0])["answer.c"]


def test_a_hunk_that_fits_twice_goes_where_it_says_or_nowhere(chapter: Chapter, edit: Edit) -> None:
    edit("answer.c", "    return 0;\n}\n", "    a();\n    a();\n    return 0;\n}\n")
    line = chapter.source.read_text().splitlines().index("    a();") + 1
    assert "    a();\n    b();\n    return" in mutate(chapter, f"@@ -{line + 1} +{line + 1} @@\n-    a();\n+    b();\n")
    with pytest.raises(CourseError, match="more than once, but not at line 1"):
        mutate(chapter, "@@ -1 +1 @@\n-    a();\n+    b();\n")


def test_hunks_follow_each_other_and_removed_lines_count(chapter: Chapter) -> None:
    text = mutate(
        chapter,
        "@@ -1,2 +1,3 @@\n+#include <errno.h>\n #include <stdio.h>\n\n"
        '@@ -13,2 +14,1 @@\n-    printf("%d\\n", answer());\n'
        "     return 0;\n\\ No newline at end of file\n",
    )
    assert text.startswith("#include <errno.h>\n#include <stdio.h>\n\nstatic")
    assert text.endswith("int main(void)\n{\n    return 0;\n}\n")


def test_a_hunk_without_context_is_refused(chapter: Chapter) -> None:
    with pytest.raises(CourseError, match="no line of context"):
        mutate(chapter, "@@ -1,0 +2 @@\n+int x;\n")
