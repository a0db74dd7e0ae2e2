"""Known words and ranges: what is passed on from headers, sidecars and tables.

Free text can hold the name of a person in any field. A value is passed on only if it is a number
in the range of its field, or if all of its words belong to the vocabulary of that field.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from epitome_kit.files import Json

_MAX_LENGTH = 80
_TCGA = re.compile(r"(?:sub-)?(?:TCGA[-_]?(?P<stated>[A-Z0-9]{2})|(?P<short>[A-Z][A-Z0-9]))[-_]?[A-Z0-9]{4}([-_].*)?")

MANUFACTURERS = """
siemens healthineers healthcare ge general electric gems philips toshiba canon hitachi fujifilm united imaging uih
hyperfine neusoft alltech medical systems system healthcare corporation company gmbh ag co ltd inc nema mec tec
best bruker epitome kit picker marconi elscint fonar esaote agilent
"""

MODELS = """
magnetom aera allegra altea amira area avanto avantofit aerafit biograph mmr concerto cima connectom espree essenza
expert flow fit free harmony impact lumina open prisma prismafit prismatik skyra skyrafit sola sonata sonatavision
spectra symphony symphonytim symphonyvision terra tim trio triotim verio vida vision viva plus xq xr cor x
signa genesis excite hdx hdxt hde hdi echospeed twinspeed discovery optima brivo architect artist champion creator
explorer pioneer premier victor voyager hero ovation profile lx nv mr ct air pet
mr750 mr750w mr450 mr450w mr360 mr355 mr380 750 750w 450 450w 360 355
achieva ambition ambient ambition ds dstream cx elition evolution gyroscan ingenia ingenuity intera multiva
panorama prodiva omega omegahp nt t5 t10 hfo tf tx s r quasar
vantage titan orian galan elan fortian atlas atlasx excelart agv xgv zgv powerplus mrt200 mrt200pp1 mrt200pp2
echelon oasis airis trillium oval smart velocity supernova synergy swoop umr 560 570 580 588 680 770 780 790 880 890
iii ii iv vi v e a 1 2 3 5 7 0 3t 7t 5t 1t 2t 15t
"""

HISTOLOGIES = """
astrocytoma astrocytic oligodendroglioma oligodendroglial oligoastrocytoma oligo astro glioblastoma gbm glioma gliomas
gliosarcoma ependymoma ganglioglioma xanthoastrocytoma pleomorphic pilocytic gemistocytic fibrillary protoplasmic
subependymal subependymoma neurocytoma neuroepithelial dysembryoplastic dnet dnt medulloblastoma meningioma metastasis
lymphoma pxa dmg dipg lgg hgg a aa o ao oa aoa anaplastic diffuse mixed low high lower grade graded tumor tumour midline
hemispheric paediatric pediatric adult type types other histology unclassified unspecified normal control none healthy
idh idh1 idh2 mutant mutated mut wildtype wild wt 1p 19q 1p19q codeleted codel codeletion deleted intact non
not noncodel noncodeleted atrx p53 tp53 tert mgmt h3 k27 k27m k27 altered egfr cdkn2a cdkn2b cdkn2ab nos
nec who cns cns5 with
without and or of in the like features component i ii iii iv 1 2 3 4 infiltrating infiltrative malignant
multiforme cell giant
small epithelioid secondary primary recurrent molecular integrated astrozytom oligodendrogliom
oligoastrozytom glioblastom gliom anaplastisches diffuses astrocytome oligodendrogliome gliome astrocitoma
"""

_SEQUENCES = """
gradient spin echo echoes turbo fast inversion recovery mprage mp2rage rage flair tse fse tfe ffe se gr gre ir ep epi
space cube vista spgr fspgr bravo flash tfl spoiled echo ssfp bssfp haste grase propeller blade saturation magnetisation
magnetization prepared prepare single shot multi steady state research mode planar 2d 3d t1 t2 star weighted
"""

_OPTIONS = """
per rg cg ppg fc pff pfp sp fs ct ir we sat1 sat2 sat3 fast gems nd norm dis2d dis3d acc asset edr fcsliceax fr gp gsat
irp npw nphase sfs sat1 acpgems filtered tailored opt ssfp ep pi rtd
"""

_LICENCES = """
cc cc0 by sa nc nd by-sa 0 1 2 3 4 pd pddl odbl odc odcby public domain creative commons attribution international
noncommercial sharealike noderivatives unported license licence licenses zero universal dedication open data mit apache
http https www org creativecommons opendatacommons publicdomain deed en n a none not for with and the on request masks
images restricted terms of use
"""

_FLAGS = "sk mtc ss trss sp mp osp none"
_KINDS = "se ir gr ep rm"
_INGREDIENTS = "gadolinium iodine barium sulfate xenon krypton carbon dioxide none unknown"
_SOFTWARE = "epitome kit dcm2niix dcm2nii nibabel heudiconv dcmstack mricron mriconvert freesurfer fsl ants"
_CODES = re.compile(
    r"\*?(?:q?fl|tfl|tser?|se|spcr?|spcir|tir[bm]?|tfi|h|ep|epfid|epse|gr|ir)(?:[23]d\d{0,3})?(?:_\d{1,3}){0,2}(?:ns|r|ve)?"
)
"""Names of sequences as scanners of Siemens write them, such as ``*tfl3d1_16ns``."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def known_text(value: object, vocabulary: frozenset[str]) -> str | None:
    """Return a text whose words are all known.

    Parameters
    ----------
    value : object
        Text as found in a header or a table.
    vocabulary : frozenset of str
        Words in lower case.

    Returns
    -------
    str or None
        On one line; None if a word is unknown, if there is none, or if `value` is not text.
    """
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    text = unicodedata.normalize("NFKC", value).strip()
    words = re.findall(r"[^\W_]+", text.casefold())
    if not words or not set(words) <= vocabulary:
        return None
    return re.sub(r"[^\x20-\x7e]+", " ", text)


def known_histology(value: object) -> str | None:
    """Return a histological type in known words, as it is written; None for anything else."""
    return known_text(value, _HISTOLOGY)


def known_licence(value: object) -> str:
    """Return a licence in known words, as it is written; ``"n/a"`` for anything else."""
    return known_text(value, _LICENCE) or "n/a"


def known_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a table of participants that cohorts have, with the values that are known.

    Parameters
    ----------
    table : DataFrame
        As read; its index is kept.

    Returns
    -------
    DataFrame
        The columns of :data:`LABELS`; text that is not known is missing.
    """
    known = table[[name for name in LABELS if name in table]].copy()
    for name in known.select_dtypes(exclude=["number", "bool"]):
        known[name] = known[name].map(LABELS[name], na_action="ignore")
        known[name] = known[name].where(known[name].notna(), pd.NA)
    return known


def known_fields(notes: Mapping[str, object]) -> Json:
    """Return the fields of a sidecar whose values are known.

    Parameters
    ----------
    notes : dict
        Fields by BIDS name.

    Returns
    -------
    dict
        The fields of :data:`FIELDS` whose value is of the right type, in range, or in known words.
    """
    found: Json = {}
    for name, value in notes.items():
        checked = FIELDS[name](value) if name in FIELDS else None
        if checked is not None:
            found[name] = checked
    return found


Check = Callable[[object], object]
"""Takes the value of a field and returns it, or None if it is not passed on."""


def _number(low: float, high: float) -> Check:
    def check(value: object) -> object:
        if isinstance(value, list):
            checked = [check(each) for each in value[:64]]
            return checked if checked and None not in checked else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        return value if math.isfinite(value) and low <= value <= high else None

    return check


def _text(words: str) -> Check:
    vocabulary = _words(words)

    def check(value: object) -> object:
        if isinstance(value, list):
            checked = [check(each) for each in value[:32]]
            return checked if checked and None not in checked else None
        return known_text(value, vocabulary)

    return check


def _flag(value: object) -> object:
    return value if isinstance(value, bool) else None


def _code(value: object) -> object:
    return value if isinstance(value, str) and _CODES.fullmatch(value.lower()) else None


def _source_id(value: object) -> object:
    """Return a pseudonym: letters, digits and dashes, with a digit."""
    return (
        value if isinstance(value, str) and re.fullmatch(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value) else None
    )


def _years(value: object) -> object:
    text = str(value).strip()
    return text if re.fullmatch(r"[0-9]{1,3}([.,][0-9]{1,4})?", text) else None


_HISTOLOGY = _words(HISTOLOGIES)
_LICENCE = _words(_LICENCES)

LABELS: dict[str, Check] = {
    "grade": _text("1 2 3 4 0 i ii iii iv g1 g2 g3 g4 who cns grade lgg hgg low high"),
    "codeletion": _text("intact codeleted codel 1p 19q d n yes no 0 1 true false deleted unknown"),
    "idh": _text("mutant wildtype"),
    "cdkn2ab": _text("deleted intact"),
    "histology": known_histology,
    "age": _years,
    "sex": _text("f m female male o other unknown w"),
    "source_id": _source_id,
}
"""Check of each label of a subject."""

FIELDS: dict[str, Check] = {
    "Manufacturer": _text(MANUFACTURERS),
    "ManufacturersModelName": _text(f"{MANUFACTURERS} {MODELS}"),
    "Modality": _text("mr mri"),
    "MRAcquisitionType": _text("1d 2d 3d"),
    "ScanningSequence": _text(_KINDS),
    "SequenceVariant": _text(_FLAGS),
    "ScanOptions": _text(_OPTIONS),
    "SequenceName": _code,
    "PulseSequenceType": _text(_SEQUENCES),
    "ContrastBolusIngredient": _text(_INGREDIENTS),
    "ConversionSoftware": _text(_SOFTWARE),
    "MagneticFieldStrength": _number(0.01, 12),
    "RepetitionTime": _number(0, 100),
    "RepetitionTimeExcitation": _number(0, 100),
    "RepetitionTimePreparation": _number(0, 100),
    "EchoTime": _number(0, 10),
    "InversionTime": _number(0, 20),
    "FlipAngle": _number(0, 360),
    "EchoTrainLength": _number(0, 2000),
    "PixelBandwidth": _number(0, 20000),
    "DwellTime": _number(0, 1),
    "SliceThickness": _number(0, 100),
    "SpacingBetweenSlices": _number(-100, 100),
    "PartialFourier": _number(0, 1),
    "ParallelReductionFactorInPlane": _number(0, 64),
    **dict.fromkeys(
        ("NonlinearGradientCorrection", "SkullStripped", "Defaced", "CoregisteredAtOrigin", "VoxelSizeKnown"), _flag
    ),
}
"""Check of each field that sidecars of a cohort may hold; times in seconds, lengths in mm."""


def institutions(participants: pd.Series) -> pd.Series:
    """Read the institution from the names of TCGA's patients.

    Parameters
    ----------
    participants : Series of str
        Names such as ``TCGA-CS-4941``, ``sub-TCGACS4941`` or ``sub-CS4941``.

    Returns
    -------
    Series of str
        TCGA's code of the institution that sent the tissue, such as ``CS``; missing for
        all if one of the names is of another kind.
    """
    found = [_TCGA.fullmatch(str(name)) for name in participants]
    codes = [match["stated"] or match["short"] for match in found if match]
    return pd.Series(codes if len(codes) == len(found) else np.nan, participants.index, dtype=object)
