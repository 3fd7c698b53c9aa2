"""Whatever is sent to the API, it answers as its document says; long: `./dev prove api`."""

import httpx
import pytest
from api_fuzz import fuzz
from shoppers import ADMIN, CUSTOMER, VENDOR, log_in


@pytest.mark.parametrize("email", [None, CUSTOMER, VENDOR, ADMIN])
def test_it_keeps_to_its_document(api: httpx.Client, email: str | None) -> None:
    """For nobody and for each role: no 5xx, no undocumented status, no answer of another shape."""
    token = log_in(api, email).access_token if email else None
    found = fuzz(str(api.base_url), access_token=token, phases="fuzzing", examples=1)
    assert found.is_clean, found.report
