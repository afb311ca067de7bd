"""The benchmark of file contents: its files have names of their own, and its judge sees what is gone."""

from img2img.benchmarks import files


def test_the_files_differ_and_pass_their_own_checks_unless_meant_not_to() -> None:
    cases = [*files.pngs(), *files.jpegs()]
    assert len({case.name for case in cases}) == len(cases) > 60
    plain = next(case for case in cases if case.name == "comment.png")
    done = {"in": {"output": __file__, "lost": []}}
    assert files.judged(plain, "in", {"in": "no"}, {})["outcome"] == "refused"
    assert files.judged(plain, "in", {}, done) == {"outcome": "silent", "gone": ["comment", "pixels"]}
    assert files.held(plain.checks["comment"], plain.data)
