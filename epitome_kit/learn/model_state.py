"""Reset a compiled model to its initial state, without compiling it again for every fold."""

import numpy as np

from epitome_kit.backend import Model, keras, ops


def snapshot(model: Model) -> list[np.ndarray]:
    """Copy the state of a compiled model.

    Parameters
    ----------
    model : keras.Model
        Compiled model.

    Returns
    -------
    list of ndarray
        Values of all variables of the model and its optimiser.
    """
    model.optimizer.build(model.trainable_variables)
    return [np.array(ops.convert_to_numpy(variable)) for variable in _variables(model)]


def reset_model(model: Model, state: list[np.ndarray]) -> None:
    """Reset a model and its optimiser to a saved state.

    Parameters
    ----------
    model : keras.Model
        Compiled model.
    state : list of ndarray
        State from :func:`snapshot`.
    """
    for variable, value in zip(_variables(model), state, strict=True):
        variable.assign(value)


def _variables(model: Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
