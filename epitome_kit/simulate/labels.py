"""Draw the types of simulated gliomas: grade, IDH, 1p/19q and CDKN2A/B."""

from typing import NamedTuple

import numpy as np


class TumourType(NamedTuple):
    """Type of a diffuse glioma of grade 2 or 3 in the terms of WHO 2021."""

    grade: int
    idh: str
    codeletion: str
    cdkn2ab: str

    @property
    def grade_3(self) -> bool:
        """Whether the grade is 3."""
        return self.grade == 3

    @property
    def codeleted(self) -> bool:
        """Whether 1p and 19q are lost."""
        return self.codeletion == "codeleted"

    @property
    def histology(self) -> str:
        """Name of the type; IDH-wildtype is named as not elsewhere classified (NEC)."""
        if self.idh == "wildtype":
            return "Diffuse glioma, IDH-wildtype, NEC"
        return "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted" if self.codeleted else "Astrocytoma, IDH-mutant"


_GRADE_3 = 55 / 159
_WILDTYPE = 0.02
_CODELETED = {2: 66 / 135, 3: 84 / 223}
_CDKN2AB_DELETED = 0.07


def _shares() -> dict[TumourType, float]:
    grade = {2: 1 - _GRADE_3, 3: _GRADE_3}
    wild = {level: share * _WILDTYPE for level, share in grade.items()}
    mutant = {level: share * (1 - _WILDTYPE) for level, share in grade.items()}
    oligo = {level: share * _CODELETED[level] for level, share in mutant.items()}
    return {
        TumourType(2, "wildtype", "intact", "intact"): wild[2],
        TumourType(2, "mutant", "intact", "intact"): mutant[2] - oligo[2],
        TumourType(2, "mutant", "codeleted", "intact"): oligo[2],
        TumourType(3, "mutant", "codeleted", "deleted"): oligo[3] * _CDKN2AB_DELETED,
        TumourType(3, "mutant", "codeleted", "intact"): oligo[3] * (1 - _CDKN2AB_DELETED),
        TumourType(3, "mutant", "intact", "intact"): mutant[3] - oligo[3],
        TumourType(3, "wildtype", "intact", "intact"): wild[3],
    }


TUMOUR_TYPES = _shares()
"""Share of each type; those of a grade, and the codeleted ones, are neighbours.

Grade 3: 55 of 159, as in the collection LGG-1p19qDeletion. Codeletion among the
IDH-mutant: 66 of 135 of grade 2 (Leeper 2015), and in grade 3 the 84 of 223 of
TCGA, which are of grades 2 and 3 (Brat 2015). Without a mutation of IDH most
tumours that look like grade 2 or 3 are glioblastomas by their genes, so few are
left: 2 %, by choice. Homozygous deletion of CDKN2A/B makes an IDH-mutant
astrocytoma grade 4 (Louis 2021), so here only oligodendrogliomas of grade 3 have
it, of which it marks a minority with a worse outcome (Appay 2019): 7 %, by
choice.

References
----------
Louis et al., Neuro Oncol 2021, doi:10.1093/neuonc/noab106
Leeper et al., Oncotarget 2015, doi:10.18632/oncotarget.4497
Brat et al. (TCGA), N Engl J Med 2015, doi:10.1056/NEJMoa1402121
Appay et al., Neuro Oncol 2019, doi:10.1093/neuonc/noz124
"""


def draw_labels(subjects: int, rng: np.random.Generator) -> list[TumourType]:
    """Draw the types of a cohort by systematic sampling of :data:`TUMOUR_TYPES`.

    Parameters
    ----------
    subjects : int
        Number of subjects.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of TumourType
        In random order. The number of each type, of each grade and of the
        codeleted differs from its share by less than one; from two subjects on, both
        grades and both 1p/19q statuses occur.
    """
    types = list(TUMOUR_TYPES)
    return [types[index] for index in draw_type_indices(subjects, rng)]


def draw_type_indices(subjects: int, rng: np.random.Generator) -> np.ndarray:
    """Draw types as :func:`draw_labels` does, as their places in :data:`TUMOUR_TYPES`.

    Parameters
    ----------
    subjects : int
        Number of subjects.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int, shape (subjects,)
        Places in the table.
    """
    start = rng.random() if subjects > 2 else 0.5
    places = (np.arange(subjects) + start) / subjects
    return rng.permutation(np.searchsorted(np.cumsum(list(TUMOUR_TYPES.values()))[:-1], places, side="right"))
