"""What fuzz_i2i.py does, for a few hundred cases; 20,000 of them are a job of their own (`make fuzz`)."""

from pathlib import Path

import pytest
from fuzz_i2i import MEGABYTES, MUTATIONS, Material, fuzz

CASES = 500


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material.make(tmp_path_factory.mktemp("codecs"))


def test_whatever_is_inside_a_reader_gives_a_picture_or_one_line_soon(material: Material) -> None:
    outcome = fuzz(material, range(CASES))
    assert outcome.faults == []
    assert outcome.counts.total() == CASES
    assert outcome.peak < MEGABYTES
    for mutation in MUTATIONS:
        # Numbers that nobody would code are in order; everything else is found out sometimes at least.
        expected = "picture" if mutation.__name__ == "extreme_symbols" else "error"
        assert outcome.counts[f"{mutation.__name__}: {expected}"] > 0


def test_fuzzing_is_the_same_each_time(material: Material) -> None:
    assert fuzz(material, range(30)).counts == fuzz(material, range(30)).counts


def test_a_fault_would_be_seen(material: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_arguments: object) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(material.reader, "decompress", broken)
    outcome = fuzz(material, range(12))
    assert len(outcome.faults) == 12
    assert "IndexError: out of range" in outcome.faults[0]
