"""The table of 2,030 radiomic features of 159 patients: read whole, and nothing in it gives the label away."""

from epitome_kit.grade.table import TableColumns, read_features


def test_nothing_in_the_radiomic_table_is_refused(real_data):
    path = real_data / "radiomics-lgg-1p19q" / "LGG-1p19qDeletion.csv.gz"
    features, notes = read_features(path, TableColumns(label="Target", id="ID"))
    assert features.shape == (159, 2032) and notes["classes"] == ["0", "1"] and notes["missing_values"] == 0
    assert not any(
        notes[name] for name in ("not_numbers", "constant", "ids", "row_numbers", "allowed_leaks", "reading")
    )
