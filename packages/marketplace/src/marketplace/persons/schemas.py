"""The schemas of a person's exported data."""

from datetime import datetime

from pydantic import BaseModel

from marketplace.accounts.schemas import Account, AuditRecord, SessionDetail
from marketplace.orders.schemas import OrderDetail, RefundDetail


class ExportedOrder(OrderDetail):
    """An order with its refunds."""

    refunds: list[RefundDetail]


class Export(BaseModel):
    """The account, its devices, its orders and what is on record of it. No secret, and no digest of one."""

    exported_at: datetime
    account: Account
    sessions: list[SessionDetail]
    orders: list[ExportedOrder]
    events: list[AuditRecord]
