"""Time to the first token and between tokens of served models, from the seconds of their steps."""

from bursar.cost.endtoend.features import Features, features
from bursar.cost.endtoend.law import Columns, tpot_seconds, ttft_seconds
from bursar.cost.endtoend.measured import Measured, read_measured
from bursar.cost.endtoend.predict import Between, Prediction, latencies, predict
from bursar.cost.endtoend.served import Pool, Served

__all__ = [
    "Between",
    "Columns",
    "Features",
    "Measured",
    "Pool",
    "Prediction",
    "Served",
    "features",
    "latencies",
    "predict",
    "read_measured",
    "tpot_seconds",
    "ttft_seconds",
]
