"""Time to the first token and between tokens of served models, from the seconds of their steps."""

from bursar.cost.endtoend.features import Features, Operators, features
from bursar.cost.endtoend.law import Columns, EngineLaw, Law, tpot_seconds, ttft_seconds
from bursar.cost.endtoend.measured import Measured, read_measured
from bursar.cost.endtoend.predict import Between, Prediction, predict
from bursar.cost.endtoend.served import Pool, Served
from bursar.cost.endtoend.shipped import Shipped, shipped

__all__ = [
    "Between",
    "Columns",
    "EngineLaw",
    "Features",
    "Law",
    "Measured",
    "Operators",
    "Pool",
    "Prediction",
    "Served",
    "Shipped",
    "features",
    "predict",
    "read_measured",
    "shipped",
    "tpot_seconds",
    "ttft_seconds",
]
