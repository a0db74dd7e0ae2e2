from .bids import import_bids as import_bids
from .contrast_listing import list_contrasts as list_contrasts
from .contrasts import judge_scan as judge_scan
from .dicom import import_dicom as import_dicom
from .labels import find_labels as find_labels
from .lgg_1p19q import import_lgg_1p19q as import_lgg_1p19q
from .tcga_lgg import import_tcga_lgg as import_tcga_lgg
