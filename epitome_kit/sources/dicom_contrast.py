"""What the DICOM volumes of one exam show, by the judge of contrasts."""

from epitome_kit.sources.contrasts import Series, judge_series

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


def judge_volumes(volumes, *, after_agent=False):
    """Judge what each volume of an exam shows.

    The times of the sequence decide; words of the description where times are
    missing, for FLAIR without an inversion time and for the agent. A protocol that
    two series share says nothing.

    Parameters
    ----------
    volumes : sequence of Volume
        All of one exam (study), for the others tell what words are worth.
    after_agent : bool, default=False
        Every T1 of the collection is known to be after an agent.

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


def _series(volume, volumes):
    """Put what the headers of a volume say under the names of BIDS."""
    physics = volume.physics
    notes = {title: physics.get(name) for name, title in _NAMES.items()}
    notes["Modality"] = physics["modality"] or "unknown"
    notes["ImageType"] = physics["image_type"].split("\\")
    notes["ScanningSequence"] = physics["scanning_sequence"].split("\\")
    times = {"EchoTime": volume.echo_ms, "RepetitionTime": physics["repetition_ms"]}
    times["InversionTime"] = physics["inversion_ms"]
    notes |= {title: None if time_ms is None else time_ms / 1000 for title, time_ms in times.items()}
    echoes = [each.echo_ms for each in volumes if each.series == volume.series and each.echo_ms]
    return Series(notes, shorter_echo=bool(volume.echo_ms) and min(echoes) < volume.echo_ms)
