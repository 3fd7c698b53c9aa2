"""Problems with a request about all of a person's data."""

from dataclasses import dataclass
from http import HTTPStatus

from marketplace.problems import Problem


@dataclass(kw_only=True, eq=False)
class OrdersUnderWay(Problem):
    """An order of this user is confirmed or on its way: it has to arrive, or be cancelled, first."""

    status = HTTPStatus.CONFLICT
    code = "orders_under_way"
    detail = "Orders are under way: wait until they have arrived, or have them cancelled."
