"""Answers of scipy and statsmodels to the differences in the JSON file given: prints a JSON object."""

import json
import sys

import numpy
import scipy
import scipy.stats
import statsmodels
from statsmodels.stats.multitest import multipletests

with open(sys.argv[1]) as file:
    spec = json.load(file)


def signed_rank(case):
    differences = numpy.array(case["differences"])
    how = case["how"]
    # Of tied differences scipy counts the assignments of signs only when told to go through all of them.
    method = scipy.stats.PermutationMethod(n_resamples=numpy.inf) if how == "permutations" else how
    result = scipy.stats.wilcoxon(differences, zero_method="wilcox", correction=False, method=method)
    return {"name": case["name"], "pValue": float(result.pvalue), "statistic": float(result.statistic)}


def interval(differences):
    result = scipy.stats.bootstrap(
        (differences,), numpy.mean, n_resamples=200_000, batch=10_000, method="percentile", rng=numpy.random.default_rng(1)
    )
    return {"low": float(result.confidence_interval.low), "high": float(result.confidence_interval.high)}


print(
    json.dumps(
        {
            "versions": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": numpy.__version__},
            "signedRank": [signed_rank(case) for case in spec["signedRank"]],
            "intervals": [interval(differences) for differences in spec["intervals"]],
            "holm": [multipletests(p_values, method="holm")[1].tolist() for p_values in spec["holm"]],
        }
    )
)
