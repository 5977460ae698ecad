"""Series of repeated measurements, and ratios that are refused when they would be noise."""

import statistics

NOISE_PERCENT = 15.0


class Series:
    def __init__(self, values):
        self.values = list(values)
        self.median = statistics.median(self.values)
        if len(self.values) > 1:
            quarters = statistics.quantiles(self.values, n=4, method="inclusive")
            spread = quarters[2] - quarters[0]
        else:
            spread = 0.0
        self.iqr_percent = 100.0 * spread / self.median if self.median else 0.0

    @property
    def noisy(self):
        return self.iqr_percent > NOISE_PERCENT

    def plain(self):
        return {"median": self.median, "iqr_percent": round(self.iqr_percent, 1),
                "values": self.values}


def ratio(ours, theirs):
    """ours / theirs, or None when either spreads too much or theirs is nothing."""
    if ours.noisy or theirs.noisy or not theirs.median:
        return None
    return ours.median / theirs.median
