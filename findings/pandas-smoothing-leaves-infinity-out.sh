#!/usr/bin/env bash
# pandas 3.1.1: `rolling`, `expanding` and `ewm` take an infinity for a value that is missing. A smoothed curve goes through a loss or a
# gradient norm that overflowed as if it had not been logged, and so do the rolling maximum and median; `mean` and `max` of the
# same column are infinite. polars 2.1.0 shows it, and its `ewm_mean` is NaN from there to the end.
#
# Seen, for losses of 2, 2, infinity, 2, 2, 2 and windows of two values
#                   pandas              polars
#   rolling mean    2, 2, 2, 2, 2, 2    2, 2, inf, inf, 2, 2
#   rolling max     2, 2, 2, 2, 2, 2    2, 2, inf, inf, 2, 2
#   ewm mean        2, 2, 2, 2, 2, 2    2, 2, inf, nan, nan, nan
#   mean of all     inf                 inf
#
# Ends with 1 where they do otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==3.1.1 polars==2.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import math
import sys

import pandas
import polars

losses = [2.0, 2.0, math.inf, 2.0, 2.0, 2.0]
column, series = pandas.Series(losses), polars.Series(losses)
rolled = column.rolling(2, min_periods=1)
by_pandas = {
    "rolling mean": rolled.mean(),
    "rolling max": rolled.max(),
    "rolling median": rolled.median(),
    "expanding mean": column.expanding().mean(),
    "ewm mean": column.ewm(alpha=0.5).mean(),
}
by_polars = {
    "rolling mean": series.rolling_mean(2, min_samples=1),
    "rolling max": series.rolling_max(2, min_samples=1),
    "rolling median": series.rolling_median(2, min_samples=1),
    "ewm mean": series.ewm_mean(alpha=0.5),
}
print(f"pandas {pandas.__version__}, polars {polars.__version__}")
for name, values in by_pandas.items():
    print(f"{name:15} {values.to_list()}   {by_polars[name].to_list() if name in by_polars else ''}")
print(f"mean of all     {column.mean()}   {series.mean()}")
hidden = all(values.to_list() == [2.0] * 6 for values in by_pandas.values()) and column.mean() == column.max() == math.inf
shown = all(values[2] == math.inf for values in by_polars.values()) and all(math.isnan(value) for value in by_polars["ewm mean"][3:])
sys.exit(0 if hidden and shown else 1)
PYTHON
