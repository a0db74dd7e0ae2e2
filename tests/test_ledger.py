"""The ledger of an import: written, edited by hand, handed back; older cohorts are known by it."""

import warnings

import pytest
from tiny import raises_three_lines, write_cohort

from epitome_kit.cohort import open_cohort, write_dataset
from epitome_kit.errors import EpitomeError, EpitomeWarning, OutputError, ParameterError
from epitome_kit.files import read_tsv
from epitome_kit.ledger import (
    Entry,
    made_by_older_rules,
    read_decisions,
    read_ledger,
    require_decisions,
    summarise_ledger,
    unused_decisions,
    write_ledger,
)
from epitome_kit.sources.importing import check_folders

ENTRIES = [
    Entry("sub-1/anat/a.nii.gz", "scan", "sub-1", "T1w", "suffix T1w"),
    Entry("sub-1/anat/=b\t\n.nii.gz", "scan", "sub-1", reason="cannot tell: no word"),
    Entry("masks/1.nii.gz", "mask", "sub-1", reason="cannot tell: no word"),
    Entry("Müller", "subject", reason="expected a scan; received none"),
]


def test_a_ledger_comes_back_as_it_was_written(tmp_path):
    write_ledger(tmp_path, ENTRIES)
    table = read_ledger(tmp_path)
    assert table.source.tolist() == ["sub-1/anat/a.nii.gz", "sub-1/anat/=b .nii.gz", "masks/1.nii.gz", "Müller"]
    assert table.taken_as.tolist() == ["T1w", "", "", ""] and table.decision.tolist() == [""] * 4


def test_it_says_on_top_that_it_may_name_people(tmp_path):
    write_ledger(tmp_path, ENTRIES)
    assert "names of people" in (tmp_path / "sources.tsv").read_text().splitlines()[0]


def test_bids_ignores_it_and_the_older_lists_go(tmp_path):
    root = write_cohort(tmp_path / "cohort")
    (root / "excluded.tsv").write_text("id\treason\n")
    people = read_tsv(root / "participants.tsv")
    write_dataset(root, name="x", readme="", participants=people, excluded=[("a", "b")], repaired=[("sub-01", "c")])
    assert "sources.tsv" in (root / ".bidsignore").read_text().splitlines() and not (root / "excluded.tsv").exists()
    cohort = open_cohort(root)
    assert cohort.excluded.to_numpy().tolist() == [["a", "b"]]
    assert cohort.repaired.to_numpy().tolist() == [["sub-01", "c"]]


@pytest.mark.parametrize("quote", [False, True])
def test_decisions_are_read_from_an_edited_ledger(tmp_path, quote):
    write_ledger(tmp_path, ENTRIES)
    path = tmp_path / "edited.tsv"
    title, header, *rows = (tmp_path / "sources.tsv").read_text().splitlines()
    rows = [row.removesuffix("n/a") + word for row, word in zip(rows, ("", " t1CE ", "leave  out", ""), strict=True)]
    path.write_text("\n".join([f'"{title}"\t\t\t' if quote else title, header, *rows]) + "\n")
    decisions = read_decisions(path)
    assert decisions == {("sub-1/anat/=b .nii.gz", "scan"): "T1ce", ("masks/1.nii.gz", "mask"): "leave out"}
    (unused,) = unused_decisions(decisions, ENTRIES[2:])
    assert unused.source == "sub-1/anat/=b .nii.gz" and "T1ce" in unused.reason
    assert read_decisions(None) is None


@pytest.mark.parametrize("content", ["", "# title\n", "id\treason\na\tb\n", "\x00\xff"])
def test_what_is_no_ledger_is_three_lines(tmp_path, content):
    path = tmp_path / "sources.tsv"
    path.write_text(content)
    with raises_three_lines(EpitomeError, path):
        read_decisions(path)


@pytest.mark.parametrize(("row", "word"), [(0, "oedema"), (0, "T1"), (2, "T1w"), (3, "T1w")])
def test_a_decision_that_is_none_is_three_lines(tmp_path, row, word):
    entries = [entry._replace(decision=word if index == row else "") for index, entry in enumerate(ENTRIES)]
    write_ledger(tmp_path, entries)
    with raises_three_lines(ParameterError, word, entries[row].kind):
        read_decisions(tmp_path / "sources.tsv")


def test_older_cohorts_are_known_and_never_added_to(tmp_path):
    root = write_cohort(tmp_path / "cohort")
    assert not made_by_older_rules(root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_cohort(root)
    title = (root / "sources.tsv").read_text()
    (root / "sources.tsv").write_text(title.replace("(rules ", "(rules 0"))
    assert made_by_older_rules(root)
    with pytest.warns(EpitomeWarning, match="Import it again"):
        open_cohort(root)
    with raises_three_lines(OutputError, root):
        check_folders(tmp_path / "source", root, ["sub-01", "sub-02", "sub-03", "sub-04"])
    (root / "sources.tsv").rename(root / "repaired.tsv")
    assert made_by_older_rules(root)


def test_the_sum_counts_what_was_taken_and_each_reason(tmp_path):
    write_ledger(tmp_path, ENTRIES)
    assert (
        summarise_ledger(read_ledger(tmp_path))
        == [
            ("mask: taken", "0"),
            ("mask: left out", "1 (cannot tell: no word)"),
            ("scan: taken", "1 (T1w 1)"),
            ("scan: left out", "1 (cannot tell: no word)"),
        ]
        or summarise_ledger(read_ledger(tmp_path))[0][0] == "scan: taken"
    )


def test_two_decisions_on_one_file_are_three_lines(tmp_path):
    write_ledger(tmp_path, [ENTRIES[0]._replace(decision="T1w"), ENTRIES[0]._replace(decision="T1ce")])
    with raises_three_lines(ParameterError, "T1w and T1ce", ENTRIES[0].source):
        read_decisions(tmp_path / "sources.tsv")


def test_decisions_in_a_ledger_are_never_lost_by_importing_again(tmp_path):
    assert require_decisions(tmp_path, None) == {} == require_decisions(tmp_path, {})
    write_ledger(tmp_path, [ENTRIES[0]._replace(decision="T1w")])
    with raises_three_lines(ParameterError, "--decisions", tmp_path):
        require_decisions(tmp_path, None)
    assert require_decisions(tmp_path, {}) == {} and require_decisions(tmp_path, {"a": "b"}) == {"a": "b"}
