from .anatomy import head_model as head_model
from .anatomy import random_deformation as random_deformation
from .phantom import load_cohort as load_cohort
from .phantom import make_phantom_cohort as make_phantom_cohort
from .scanner import SIGNAL as SIGNAL
from .scanner import acquire as acquire
from .tumour import grow_tumour as grow_tumour
from .tumour import oracle_auc as oracle_auc
