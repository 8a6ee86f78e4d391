"""Limits that several rules share: what counts as sure, as large, as settled, and the reason for each number."""

SMOOTHED = 0.5  # smoothing from which a log is an average over many records, and noise looks like steps
LONGEST = 1000  # a longer curve is judged by the medians of so many blocks: they keep every change that lasts
SURE = 1.645  # standard errors: one-sided 5%
LEARNS = -3.0  # Mann-Kendall z from which a loss clearly falls: chance does that to one flat curve in 700
RANK_TREND = 4.0  # Mann-Kendall z of a trend beyond doubt: one flat curve in 30,000

FROM_SCRATCH = 6.0  # nats at the start: fine-tunes, and models of single characters, start lower
NEAR_UNIFORM = 8.0  # nats: only guesses over a vocabulary of thousands cost as much
LARGEST_UNIFORM = 13.0  # nats: ln of 440,000, above every vocabulary in use
SCALED = 0.1  # nats: no text begins so well known; a loss that starts below it has been divided by something
STILL = 0.01  # of a level: what a curve may gain and still stay, whatever its trend
KNOWS = 2.0  # nats per token; guessing by frequency costs more in every vocabulary: 2.9 for the letters of English
FEW_PLANNED = 0.05  # of the planned steps: nothing need be learned yet

SETTLED = 0.1  # of the records: warm-up and the steep start, during which nothing is typical
HIGH_RATE = 0.5  # of the peak learning rate; warm-up and the end of a decay lie below
LOW_RATE = 0.2  # of the peak learning rate: below it a small rise comes from the order of the data, not from the rate
LARGE_UPDATE = 0.03  # of the norm of the weights: 0.001 is usual, small healthy models reach 0.01

LOST = 0.3  # of the progress: a rise that costs so much is an error
LEAST_PROGRESS = 0.3  # nats: a run that gained less is held to have gained this
MODEL_ERROR = 0.3  # of the fall a fitted law predicts: its error on held-out ends (`python benchmarks/forecast.py`)

EQUAL = 0.005  # of the level: evaluations this close are as good as each other
EQUAL_SIGMAS = 2.0  # standard deviations: or this close, if that is more
MOST_EVALUATIONS = 200  # compared with the training loss around them: more take time and say no more

BEFORE = 50  # records that say what is usual for a gradient norm: enough for a median, few enough to follow its decay
SCATTER_FLOOR = 0.05  # of the logarithm of a gradient norm: smoothed and rounded norms scatter less than they vary
AT_CEILING = 0.005  # of the largest norm: what stays this close to it was logged after clipping
