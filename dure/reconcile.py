"""``dure reconcile``: the shop's payments held against the provider's transactions, now."""

from __future__ import annotations

from contextlib import AsyncExitStack

from sqlalchemy.exc import DBAPIError

from dure.assembly import make_broker, make_changes, make_runtime
from dure.audit import provider_of
from dure.errors import StartError
from dure.settings import Settings
from subgraphs.payments.provider import ProviderError
from subgraphs.payments.reconciling import Difference, Reconciler
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.transport import NoAnswer


async def run(settings: Settings) -> list[Difference]:
    """The differences; the running shop asks the provider about each. Raises StartError when nobody can be asked."""
    async with AsyncExitStack() as stack:
        broker = make_broker(settings)
        stack.push_async_callback(broker.close)
        runtime = make_runtime(settings, "payments", broker, make_changes(settings))
        stack.push_async_callback(runtime.database.close)
        provider = provider_of(settings, stack.push_async_callback)
        reconciler = Reconciler(runtime.database, provider, runtime.now, lambda: None, PaymentSettings())
        try:
            return await reconciler.reconcile()
        except (NoAnswer, ProviderError) as error:
            raise StartError(f"the payment provider cannot be asked: {error}") from None
        except DBAPIError as error:
            raise StartError(f"payments cannot be read: {error.orig}; `dure migrate` makes its tables") from None
