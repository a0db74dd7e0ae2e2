"""The real TCGA-LGG slices, imported: every patient, the right way round, with labels that fit."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from epitome_kit.audit import audit_cohort
from epitome_kit.images import axis_codes, load_image, load_mask
from epitome_kit.sources.tcga_lgg import import_tcga_lgg


@pytest.fixture(scope="module")
def source(real_data):
    return real_data / "tcga-lgg-slices"


@pytest.fixture(scope="module")
def cohort(source, tmp_path_factory):
    return import_tcga_lgg(source, tmp_path_factory.mktemp("tcga") / "cohort", workers=2)


def test_every_patient_is_imported(cohort):
    assert len(cohort) == 51 and cohort.excluded.empty
    assert cohort.contrasts == ("T1w", "T1ce", "FLAIR")
    assert all(subject.annotated_on == "FLAIR" for subject in cohort)


def test_labels_come_from_the_table(cohort, source):
    table = pd.read_csv(source / "data.csv").set_index("Patient")
    rows = table.loc[["_".join(name.split("_")[:3]) for name in cohort.participants.source_id]]
    assert (cohort.participants.grade.to_numpy() == rows.neoplasm_histologic_grade.to_numpy() + 1).all()
    assert cohort.labels("grade").value_counts().to_dict() == {1: 27, 0: 24}
    assert (cohort.participants.age.to_numpy() == rows.age_at_initial_pathologic.to_numpy()).all()


def test_the_audit_finds_nothing_but_missing_contrasts(cohort):
    audit = audit_cohort(cohort, workers=2)
    said = audit.findings[audit.findings != ""].str.split("; ").explode()
    assert said.value_counts().to_dict() == {"no T1ce": 5, "no T1w": 3}
    assert len(audit) == 51 * 3 - 8 and not audit.voxel_size_known.any()
    assert set(audit.orientation) == {"LPS"} and set(audit.shape_i) == set(audit.shape_j) == {256}
    assert audit.mask_voxels.sum() == 1_379_536


def test_masks_lie_on_the_side_that_the_table_says(cohort, source):
    table = pd.read_csv(source / "data.csv").set_index("Patient")
    agree = []
    for subject in cohort:
        head = np.argwhere(np.asarray(load_image(subject.images["FLAIR"]).dataobj) > 20).mean(0)
        mask = load_mask(subject.annotation)
        offset = mask.affine[:3, :3] @ (np.argwhere(np.asarray(mask.dataobj)).mean(0) - head)
        patient = "_".join(cohort.participants.source_id[subject.id].split("_")[:3])
        agree.append((offset[0] > 0) == (table.laterality[patient] == 3))
    assert sum(agree) == 50


def test_the_axes_are_those_of_an_exam_with_known_geometry(cohort, real_data):
    (folder,) = real_data.glob("tcga-fg-*")
    name = "sub-" + folder.name.removeprefix("tcga-").replace("-", "").upper()
    image = load_image(cohort[name].images["FLAIR"])
    exam = nib.as_closest_canonical(load_image(folder / "flair.nii.gz"))
    ours = np.asarray(nib.as_closest_canonical(image).dataobj).astype(np.float32)
    known = np.asarray(exam.dataobj).astype(np.float32)
    size = [max(pair) for pair in zip(ours.shape, known.shape, strict=True)]
    spectrum = np.fft.rfftn(known - known.mean(), size)

    def likeness(data):
        data = data - data.mean()
        overlap = np.fft.irfftn(spectrum * np.conj(np.fft.rfftn(data, size)), size).max()
        return overlap / np.sqrt((data**2).sum() * ((known - known.mean()) ** 2).sum())

    turned = {axes: likeness(np.flip(ours, axes)) for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]}
    assert max(turned, key=turned.get) == (), turned
    assert axis_codes(image) == "LPS"
