from .cohort_explorers import cohort_explorer as cohort_explorer
from .cohort_explorers import prediction_explorer as prediction_explorer
from .explorers import before_after_wipe as before_after_wipe
from .explorers import bias_explorer as bias_explorer
from .explorers import strip_explorer as strip_explorer
from .explorers import threshold_explorer as threshold_explorer
from .niivue import view_3d as view_3d
from .slice_viewer import SliceViewer as SliceViewer
