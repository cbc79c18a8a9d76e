"""What soak.py calls flat: series of samples that grow and such that do not."""
import pytest

import soak

COUNT = 40  # samples, of MiB and of descriptors


def series(mib=lambda i: 40, files=lambda i: 50):
    return [(mib(i), files(i)) for i in range(COUNT)]


@pytest.mark.parametrize("samples", [
    series(),
    series(mib=lambda i: min(i, 10) * 20),  # caches fill in the first quarter
    series(mib=lambda i: 40 + 300 * (i % 7 == 0), files=lambda i: 50 + 90 * (i % 9 == 0)),  # now and then
    series(mib=lambda i: 400 - i),
])
def test_what_stays_is_flat(samples):
    assert soak.grown(samples) == []


@pytest.mark.parametrize("samples, found", [
    (series(mib=lambda i: 40 + i), ["grown: memory (MiB): 54 became 74"]),
    (series(files=lambda i: 50 + i), ["grown: descriptors: 64 became 84"]),
    (series(mib=lambda i: 40 + 20 * (i >= 25)), ["grown: memory (MiB): 40 became 60"]),
    (series()[:11], ["too short to say that anything is flat"]),
])
def test_what_grows_is_found(samples, found):
    assert soak.grown(samples) == found
