"""DICOM series as scanners write them, small, with a head that knows where it is and a patient with a name."""

import numpy as np
from nibabel.affines import apply_affine
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

SHAPE = (24, 20, 12)
"""Columns, rows and slices."""

SECRETS = ("Doe^Jane", "19610203", "HOSP-77", "Dr^House", "General Hospital", "20200511", "101112", "SN-4711")
"""What identifies the patient or the day, in every header that is made here."""

T1 = {"EchoTime": 14.0, "RepetitionTime": 500.0, "ScanningSequence": "SE"}
T1CE = {**T1, "ContrastBolusAgent": "GADAVIST"}
T2 = {"EchoTime": 102.0, "RepetitionTime": 3500.0, "ScanningSequence": "SE"}
PD = {"EchoTime": 17.0, "RepetitionTime": 3500.0, "ScanningSequence": "SE"}
FLAIR = {"EchoTime": 120.0, "RepetitionTime": 9000.0, "InversionTime": 2250.0, "ScanningSequence": ["SE", "IR"]}


def lps_affine(spacing=(2.0, 2.5, 4.0), tilt=0.0, origin=(-20.0, -30.0, 10.0)):
    """Voxel (column, row, slice) to DICOM millimetres; tilted about the left-right axis, in radians."""
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * spacing, origin
    return affine


def voxels(shape=SHAPE, *, affine=None, seed=0):
    """A bright ellipsoid whose grey value tells its place, and noise that tells series apart."""
    index = np.indices(shape).transpose(1, 2, 3, 0)
    inside = (((index - (np.array(shape) - 1) / 2) / (np.array(shape) / 2.2)) ** 2).sum(-1) < 1
    place = apply_affine(lps_affine() if affine is None else affine, index) @ (3, 5, 7)
    noise = np.random.default_rng(seed).integers(0, 60, shape)
    return (np.where(inside, 400 + place - place.min(), 0) + noise).astype(np.uint16)


def series(data=None, *, affine=None, patient="HOSP-77", study="1.2.9.1", number=1, **header):
    """Images of one series, one a slice, ready to be written; header elements by keyword."""
    affine = lps_affine() if affine is None else affine
    data = voxels(affine=affine) if data is None else data
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    images = []
    for k in range(data.shape[2]):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
        echo = f"{header.get('EchoTime', 0):g}".replace(".", "")
        image.SOPInstanceUID = f"{study}.{number}.{echo}.{k + 1}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientName, image.PatientID, image.PatientBirthDate = SECRETS[0], patient, SECRETS[1]
        image.PatientSex, image.PatientAge = "F", "059Y"
        image.ReferringPhysicianName, image.InstitutionName = SECRETS[3], SECRETS[4]
        image.DeviceSerialNumber, image.AccessionNumber, image.StudyID = SECRETS[7], "A1", "S1"
        image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = SECRETS[5]
        image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = SECRETS[6]
        image.ImageComments = f"call {SECRETS[0]}"
        image.Manufacturer, image.ManufacturerModelName, image.MagneticFieldStrength = "SIEMENS", "Avanto", 1.5
        image.Modality, image.ImageType, image.SeriesDescription = "MR", ["ORIGINAL", "PRIMARY", "M"], "AX"
        image.StudyInstanceUID, image.SeriesInstanceUID = study, f"{study}.{number}"
        image.FrameOfReferenceUID, image.PatientPosition = f"{study}.0", "HFS"
        image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = number, k + 1, 1
        image.MRAcquisitionType, image.SequenceVariant, image.FlipAngle = "2D", "SK", 90
        image.ScanOptions, image.EchoTrainLength, image.EchoNumbers = "", 1, 1
        image.PixelSpacing = [spacing[1], spacing[0]]
        image.SliceThickness = image.SpacingBetweenSlices = spacing[2]
        columns = affine[:3, :3] / spacing
        image.ImageOrientationPatient = [f"{value:.8g}" for value in (*columns[:, 0], *columns[:, 1])]
        image.ImagePositionPatient = [f"{value:.8g}" for value in apply_affine(affine, (0, 0, k))]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Columns, image.Rows = data.shape[:2]
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.PixelData = np.ascontiguousarray(data[:, :, k].T).tobytes()
        for keyword, value in header.items():
            setattr(image, keyword, value)
        images.append(image)
    return images


def multiframe(images):
    """Put the images of a series into one file, as newer scanners do."""
    whole = images[0].copy()
    whole.file_meta.MediaStorageSOPClassUID = whole.SOPClassUID = EnhancedMRImageStorage
    shared = Dataset()
    shared.PixelMeasuresSequence = [_taken(whole, "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_taken(whole, "ImageOrientationPatient")]
    shared.MRTimingAndRelatedParametersSequence = [_taken(whole, "RepetitionTime", "FlipAngle")]
    frames = []
    for index, image in enumerate(images, start=1):
        frame, echo, content = Dataset(), Dataset(), Dataset()
        frame.PlanePositionSequence = [_taken(image, "ImagePositionPatient")]
        echo.EffectiveEchoTime = float(image.EchoTime)
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", index, [1, index]
        frame.MREchoSequence, frame.FrameContentSequence = [echo], [content]
        frames.append(frame)
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], frames
    whole.NumberOfFrames, whole.PixelData = len(images), b"".join(image.PixelData for image in images)
    return [whole]


def _taken(image, *keywords):
    """Move elements of an image into a data set of their own."""
    own = Dataset()
    for keyword in keywords:
        setattr(own, keyword, image[keyword].value)
        delattr(image, keyword)
    return own


def write_series(folder, images):
    """Write images under names that say nothing; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        image.save_as(folder / f"{image.SOPInstanceUID}.dcm", enforce_file_format=True)
    return folder
