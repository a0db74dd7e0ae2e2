"""Classifiers that are quick enough for thousands of trainings; used by `selection.py`."""

from typing import Self

import numpy as np

_MEMBERS, _UNITS, _STEPS, _C = 5, 256, 30, 2.0


class Ridge:
    """Ridge regression of labels of 1 and -1 on standardised features, with balanced classes.

    Much like `LogisticRegression(C=0.1, class_weight="balanced")`, in closed form.
    """

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients; x of shape (n, p), y of 0 and 1."""
        self._centre, self._spread = x.mean(0), x.std(0) + 1e-9
        weights = _balanced(y)
        z = np.hstack([self._scaled(x), np.ones((len(y), 1))])
        kernel = z @ z.T
        dual = np.linalg.solve(kernel + np.diag(40 / weights), 2.0 * y - 1)
        self._coefficients = z.T @ dual
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return one score per row."""
        return self._scaled(x) @ self._coefficients[:-1] + self._coefficients[-1]

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return (x - self._centre) / self._spread


class RandomFeatureNetwork:
    """The network of :class:`epitome_kit.grade.Grader` in NumPy, with the same numbers up to rounding."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Train the output layers by Adam; x of shape (n, p), y of 0 and 1."""
        self._centre, self._spread = x.mean(0), x.std(0) + 1e-9
        rng = np.random.default_rng(np.random.RandomState(0).randint(2**31))
        scale = np.exp(rng.uniform(np.log(0.3), 0.0, (_MEMBERS, 1, _UNITS)))
        self._directions = rng.standard_normal((_MEMBERS, x.shape[1], _UNITS)) * np.sqrt(2 * scale)
        self._shifts = rng.uniform(0, 2 * np.pi, (_MEMBERS, _UNITS))
        hidden, weights, n = self._hidden(x), _balanced(y), len(y)
        parameters = np.zeros((_MEMBERS, _UNITS + 1), np.float32)
        first, second = np.zeros_like(parameters), np.zeros_like(parameters)
        for step in range(1, _STEPS + 1):
            error = (_output(hidden, parameters) - y[:, None]) * weights[:, None] / (n * _MEMBERS)
            slope = np.einsum("nm,nmu->mu", error, hidden)
            slope[:, :-1] += parameters[:, :-1] / (_C * n * _MEMBERS)
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parameters -= rate * first / (np.sqrt(second) + 1e-7)
        self._parameters = parameters
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of class 1 of each row."""
        return _output(self._hidden(x), self._parameters).mean(1)

    def _hidden(self, x: np.ndarray) -> np.ndarray:
        scaled = np.clip((x - self._centre) / self._spread, -5, 5) / np.sqrt(x.shape[1])
        waves = np.cos(np.einsum("np,mpu->nmu", scaled, self._directions, optimize=True) + self._shifts)
        return np.concatenate([np.sqrt(2 / _UNITS) * waves, np.ones((len(x), _MEMBERS, 1))], axis=2).astype(np.float32)


def _output(hidden: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.einsum("nmu,mu->nm", hidden, parameters)))


def _balanced(y: np.ndarray) -> np.ndarray:
    share = y.mean()
    return np.where(y == 1, 0.5 / share, 0.5 / (1 - share))
