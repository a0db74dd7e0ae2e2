"""The LGG-1p19q collection in small, laid out as the archive lays it out, with each of its known faults on demand."""

import highdicom as hd
import nibabel as nib
import numpy as np
import pandas as pd
from made_dicom import PD, SHAPE, T1, T2, lps_affine, series, voxels, write_series
from pydicom.sr.codedict import codes

from epitome_kit.images import save_image

TABLE = {
    "LGG-104": ("d/d", "2", "Oligodendroglioma"),
    "LGG-210": ("n/n", "3", "Astrocytoma"),
    "LGG-223": ("d/d", "3", "Oligoastrocytoma"),
}
ROWS = [{"Filename": name, "1p/19q": row[0], "Grade": row[1], "Type": row[2]} for name, row in TABLE.items()]
SLICES = (5, 6, 7)


def tumour(slices=SLICES):
    """Mask in the order of the DICOM images: a lopsided block, so that no turn leaves it as it is."""
    mask = np.zeros(SHAPE, np.uint8)
    for size, k in zip((3, 5, 4), slices, strict=False):
        mask[6 : 6 + size, 4:9, k] = 1
    return mask


def stored(data, affine=None):
    """An image as converters store it: rows upside down, so that the second axis runs to the front."""
    affine = np.diag([-1, -1, 1, 1]) @ (lps_affine() if affine is None else affine)
    affine = affine @ nib.affines.from_matvec(np.diag([1, -1, 1]), (0, data.shape[1] - 1, 0))
    return nib.Nifti1Image(np.ascontiguousarray(data[:, ::-1]), affine)


def t2_voxels(name):
    return voxels(seed=int(name[4:]))


def write_dicom(root, name, *, study=None, density=False, **header):
    """T1 after contrast agent and T2 of one subject; `density` puts a proton density echo into the T2 series."""
    study = study or f"1.3.{name[4:]}"
    folder = root / "LGG-1p19qDeletion" / name / study
    of = {"patient": name, "study": study, **header}
    first = series(voxels(seed=1 + int(name[4:])), number=1, **of, **T1)
    second = series(t2_voxels(name), number=2, **of, **T2)
    write_series(folder / "1", first)
    write_series(folder / "2", [*second, *series(voxels(seed=9), number=2, **of, **PD)] if density else second)
    return second


def write_nifti(root, name, *, mask=None, scan=None, swapped=False, turn=None):
    """Copies of T1 and T2 with the mask; `turn` flips the voxels of all three and leaves their headers alone."""
    folder = root / "NiFTiSegmentationsEdited" / name
    images = {
        f"{name}_T1.nii.gz": stored(voxels(seed=1 + int(name[4:]))),
        f"{name}_T2.nii.gz": stored(t2_voxels(name) if scan is None else scan),
        f"{name}-Segmentation.nii.gz": stored(tumour() if mask is None else mask),
    }
    if swapped:
        first, second, third = images
        images = {first: images[first], second: images[third], third: images[second]}
    for file, image in images.items():
        data = np.asarray(image.dataobj)
        save_image(nib.Nifti1Image(data if turn is None else np.flip(data, turn), image.affine), folder / file)


def segmentation(images, mask):
    """DICOM segmentation of a series; frames without a tumour are left out."""
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="tumour",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask.transpose(2, 1, 0),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=images[0].SeriesInstanceUID + ".77",
        series_number=77,
        sop_instance_uid=images[0].SeriesInstanceUID + ".77.1",
        instance_number=1,
        manufacturer="made for a test",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    )


def write_segmentation(root, images, mask):
    folder = root / "LGG-1p19qDeletion" / images[0].PatientID / images[0].StudyInstanceUID / "seg"
    return write_series(folder, [segmentation(images, mask)])


def write_spreadsheet(root, rows=ROWS):
    root.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_excel(root / "TCIA_LGG_cases_159.xlsx", index=False)
    return root


def write_collection(root):
    """Three sound subjects in every form."""
    for name in TABLE:
        write_dicom(root, name)
        write_nifti(root, name)
    return write_spreadsheet(root)
