"""Whatever is sent to the API, it answers as its document says; every role: the proofs `everywhere` and `api`."""

import httpx
import pytest
from api_fuzz import fuzz
from everywhere import each
from shoppers import ADMIN, CUSTOMER, VENDOR, log_in


@pytest.mark.parametrize(
    ("email", "paths"),
    each(
        [
            (CUSTOMER, "^/(checkout|orders)"),
            (None, ".*"),
            (VENDOR, "^/(products|variants|low-stock|vendor/)"),
            (ADMIN, "^/(admin|categories|subcategories|vendors)"),
        ],
        here=1,
    ),
)
def test_it_keeps_to_its_document(api: httpx.Client, email: str | None, paths: str) -> None:
    """For nobody, and for each role on its own routes: no 5xx, no undocumented status, no other shape."""
    token = log_in(api, email).access_token if email else None
    found = fuzz(str(api.base_url), access_token=token, phases="fuzzing", examples=1, paths=paths)
    assert found.is_clean, found.report
