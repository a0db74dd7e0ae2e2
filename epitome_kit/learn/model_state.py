"""Start a compiled model afresh, without compiling it again for every fold."""

import numpy as np

from epitome_kit.backend import ops


def snapshot(model):
    """Remember a compiled model before training.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of ndarray
        Values of all variables of the model and its optimiser.
    """
    model.optimizer.build(model.trainable_variables)
    return [np.array(ops.convert_to_numpy(variable)) for variable in _variables(model)]


def reset_model(model, state):
    """Bring a model back to the state of :func:`snapshot`.

    Parameters
    ----------
    model : keras.Model
    state : list of ndarray
    """
    for variable, value in zip(_variables(model), state, strict=True):
        variable.assign(value)


def _variables(model):
    return [*model.variables, *model.optimizer.variables]
