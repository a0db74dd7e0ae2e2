"""Judge the contrasts of the DICOM volumes of one exam."""

from collections.abc import Iterable, Sequence

from epitome_kit.files import Json
from epitome_kit.sources.contrasts import Judgement, Series, judge_series
from epitome_kit.sources.dicom_headers import Volume

_NAMES = {
    "modality": "Modality",
    "description": "SeriesDescription",
    "protocol": "ProtocolName",
    "sequence": "SequenceName",
    "agent": "ContrastBolusAgent",
    "ingredient": "ContrastBolusIngredient",
    "agent_ml": "ContrastBolusVolume",
    "angio": "AngioFlag",
}


def judge_volumes(volumes: Sequence[Volume], *, after_agent: bool = False) -> list[Judgement]:
    """Judge the contrast of each volume of an exam.

    The times of the sequence decide; the description decides if times are missing, for
    FLAIR without an inversion time, and for the agent. A protocol name that several
    series share is ignored.

    Parameters
    ----------
    volumes : sequence of Volume
        All volumes of one exam (study), since they are compared with each other.
    after_agent : bool, default=False
        Every T1 of the collection is known to be post-contrast.

    Returns
    -------
    list of epitome_kit.sources.contrasts.Judgement
        In the order of `volumes`.
    """
    known = [_series(volume, volumes) for volume in volumes]
    return [
        judge_series(
            series,
            [other for other, each in zip(known, volumes, strict=True) if each.series != volume.series],
            after_agent=after_agent,
        )
        for series, volume in zip(known, volumes, strict=True)
    ]


def _series(volume: Volume, volumes: Iterable[Volume]) -> Series:
    """Rename the header fields of a volume to their BIDS names."""
    physics = volume.physics
    notes: Json = {title: physics.get(name) for name, title in _NAMES.items()}
    notes["Modality"] = physics["modality"] or "unknown"
    notes["ImageType"] = physics["image_type"].split("\\")
    notes["ScanningSequence"] = physics["scanning_sequence"].split("\\")
    times = {"EchoTime": volume.echo_ms, "RepetitionTime": physics["repetition_ms"]}
    times["InversionTime"] = physics["inversion_ms"]
    notes |= {title: None if time_ms is None else time_ms / 1000 for title, time_ms in times.items()}
    echoes = [each.echo_ms for each in volumes if each.series == volume.series and each.echo_ms]
    return Series(notes, shorter_echo=bool(volume.echo_ms and min(echoes) < volume.echo_ms))
