"""The saga: reserve stock; charge; request delivery and commit the stock; and how to take it all back.

``decide`` has two parts. An answer of another subgraph changes the phase of one step (``_note``). Then what to ask for
next follows from the phases alone (``_advance``), so it does not matter in which order answers came, or how often.

Two rules make late and repeated answers harmless. A step that was taken back and then is reported done is taken back
again. And stock is released only once a commit of it that is on its way has been answered: a commit may take units
again after their hold has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from subgraphs.orders.domain.states import CANCELABLE, ENDED, SOLD, UNSETTLED, OrderStatus, Phase, StepName


class Answer(Enum):
    """What can happen to an order."""

    STOCK_RESERVED = auto()
    STOCK_REJECTED = auto()
    STOCK_RELEASED = auto()
    STOCK_EXPIRED = auto()
    STOCK_COMMITTED = auto()
    STOCK_COMMIT_REJECTED = auto()
    PAYMENT_AWAITING = auto()
    PAYMENT_CAPTURED = auto()
    PAYMENT_WRONG = auto()
    """Captured, but another amount than asked for."""
    PAYMENT_FAILED = auto()
    PAYMENT_CANCELED = auto()
    DELIVERY_ACCEPTED = auto()
    DELIVERY_REJECTED = auto()
    DELIVERY_DISPATCHED = auto()
    """Asked to cancel: the goods have left."""
    DELIVERY_CANCELED = auto()
    SHIPMENT_MOVED = auto()
    BUYER_CANCELS = auto()
    TIME_IS_UP = auto()


class Ask(Enum):
    """What the saga tells the others."""

    RESERVE_STOCK = auto()
    PAY = auto()
    DELIVER = auto()
    COMMIT_STOCK = auto()
    RELEASE_STOCK = auto()
    CANCEL_PAYMENT = auto()
    CANCEL_DELIVERY = auto()
    TELL_PAID = auto()
    TELL_CANCELED = auto()


STOCK, PAYMENT, DELIVERY, COMMIT = StepName
REQUEST = {STOCK: Ask.RESERVE_STOCK, PAYMENT: Ask.PAY, DELIVERY: Ask.DELIVER, COMMIT: Ask.COMMIT_STOCK}
UNDO = {
    STOCK: Ask.RELEASE_STOCK,
    PAYMENT: Ask.CANCEL_PAYMENT,
    DELIVERY: Ask.CANCEL_DELIVERY,
    COMMIT: Ask.RELEASE_STOCK,
}


@dataclass(frozen=True, slots=True)
class Saga:
    """Where an order is. ``ending``: it is being taken back and will be that. ``progress``: what its shipments say."""

    status: OrderStatus
    phases: dict[StepName, Phase]
    ending: OrderStatus | None = None
    reason: str | None = None
    progress: OrderStatus | None = None

    def with_phase(self, step: StepName, phase: Phase) -> Saga:
        return Saga(self.status, {**self.phases, step: phase}, self.ending, self.reason, self.progress)

    def ends(self, how: OrderStatus, reason: str) -> Saga:
        return self if self.ending else replace(self, ending=how, reason=reason)


@dataclass(frozen=True, slots=True)
class Decision:
    """The order afterwards and what to tell. ``errors``: why steps failed."""

    saga: Saga
    asks: tuple[Ask, ...] = ()
    errors: dict[StepName, str] = field(default_factory=dict)


def placed() -> Saga:
    """A new order: its stock is being asked for."""
    return Saga(OrderStatus.PENDING, dict.fromkeys(StepName, Phase.IDLE)).with_phase(STOCK, Phase.REQUESTED)


def decide(saga: Saga, answer: Answer, detail: str = "", progress: OrderStatus | None = None) -> Decision:
    """What an answer makes of an order. ``detail`` is the reason of a failure, ``progress`` a shipment's news."""
    noted, asks, errors = _note(saga, answer, detail, progress)
    settled, more = _advance(noted)
    return Decision(settled, (*asks, *more), errors)


def pending_asks(saga: Saga) -> tuple[Ask, ...]:
    """What has been asked and not answered: what to ask again after a while."""
    asks = [REQUEST[step] for step, phase in saga.phases.items() if phase is Phase.REQUESTED]
    asks += [UNDO[step] for step, phase in saga.phases.items() if phase is Phase.UNDOING]
    return tuple(dict.fromkeys(asks))


Noted = tuple[Saga, tuple[Ask, ...], dict[StepName, str]]


def _note(saga: Saga, answer: Answer, detail: str, progress: OrderStatus | None) -> Noted:
    match answer:
        case Answer.STOCK_RESERVED:
            return _done(saga, STOCK)
        case Answer.PAYMENT_CAPTURED:
            return _done(saga, PAYMENT)
        case Answer.DELIVERY_ACCEPTED:
            return _done(saga, DELIVERY)
        case Answer.STOCK_COMMITTED:
            return _done(saga, COMMIT)
        case Answer.PAYMENT_WRONG:
            noted, asks, errors = _done(saga, PAYMENT)
            if noted.phases[PAYMENT] is Phase.DONE and saga.phases[PAYMENT] is not Phase.DONE:
                return noted.ends(OrderStatus.CANCELED, detail), asks, {PAYMENT: detail}
            return noted, asks, errors
        case Answer.STOCK_REJECTED:
            return _failed(saga, STOCK, detail)
        case Answer.PAYMENT_FAILED:
            return _failed(saga, PAYMENT, detail)
        case Answer.DELIVERY_REJECTED:
            return _failed(saga, DELIVERY, detail)
        case Answer.STOCK_COMMIT_REJECTED:
            return _failed(saga, COMMIT, detail)
        case Answer.STOCK_RELEASED | Answer.STOCK_EXPIRED:
            return _released(saga, answer, detail), (), {}
        case Answer.PAYMENT_CANCELED:
            return _payment_canceled(saga, detail), (), {}
        case Answer.DELIVERY_CANCELED:
            return _undone(saga, DELIVERY), (), {}
        case Answer.DELIVERY_DISPATCHED:
            return _dispatched(saga), (), {}
        case Answer.PAYMENT_AWAITING:
            waits = saga.status is OrderStatus.PENDING and saga.phases[PAYMENT] is Phase.REQUESTED and not saga.ending
            return (replace(saga, status=OrderStatus.AWAITING_PAYMENT) if waits else saga), (), {}
        case Answer.SHIPMENT_MOVED:
            return _moved(saga, progress), (), {}
        case Answer.BUYER_CANCELS:
            return (saga.ends(OrderStatus.CANCELED, detail) if saga.status in CANCELABLE else saga), (), {}
        case Answer.TIME_IS_UP:
            unpaid = saga.status in UNSETTLED and saga.phases[PAYMENT] is not Phase.DONE
            return (saga.ends(OrderStatus.EXPIRED, detail) if unpaid else saga), (), {}


def _done(saga: Saga, step: StepName) -> Noted:
    phase = saga.phases[step]
    if phase is Phase.REQUESTED:
        return saga.with_phase(step, Phase.DONE), (), {}
    if phase in (Phase.IDLE, Phase.DONE, Phase.UNDOING):
        # The undoing of a commit may have overtaken it and found nothing to give back.
        again = step is COMMIT and phase is Phase.UNDOING
        return saga, (Ask.RELEASE_STOCK,) if again else (), {}
    if step is COMMIT and saga.phases[STOCK] is Phase.DONE:
        return saga, (), {}  # the stock is still to be released, and this with it
    return saga, (UNDO[step],), {}


def _failed(saga: Saga, step: StepName, why: str) -> Noted:
    undoing = saga.phases[step] is Phase.UNDOING and step is not COMMIT
    if saga.phases[step] is not Phase.REQUESTED and not undoing:
        return saga, (), {}
    return saga.with_phase(step, Phase.FAILED).ends(OrderStatus.CANCELED, why), (), {step: why}


def _undone(saga: Saga, step: StepName) -> Saga:
    return saga.with_phase(step, Phase.UNDONE) if saga.phases[step] is Phase.UNDOING else saga


def _released(saga: Saga, answer: Answer, detail: str) -> Saga:
    if Phase.UNDOING in (saga.phases[STOCK], saga.phases[COMMIT]):
        return _undone(_undone(saga, COMMIT), STOCK)
    if answer is Answer.STOCK_RELEASED or saga.ending or saga.phases[PAYMENT] is Phase.DONE:
        return saga  # a paid order's hold that ran out is taken again when it is committed
    if saga.phases[STOCK] in (Phase.REQUESTED, Phase.DONE):
        return saga.with_phase(STOCK, Phase.UNDONE).ends(OrderStatus.EXPIRED, detail)
    return saga


def _payment_canceled(saga: Saga, detail: str) -> Saga:
    phase = saga.phases[PAYMENT]
    if phase is Phase.UNDOING:
        return _undone(saga, PAYMENT)
    if phase in (Phase.REQUESTED, Phase.DONE) and saga.status in UNSETTLED:
        how = OrderStatus.EXPIRED if saga.status is OrderStatus.AWAITING_PAYMENT else OrderStatus.CANCELED
        return saga.with_phase(PAYMENT, Phase.UNDONE).ends(how, detail)
    return saga


def _dispatched(saga: Saga) -> Saga:
    """The goods have left: the order goes on, and what it had not finished follows."""
    if saga.phases[DELIVERY] is not Phase.UNDOING:
        return saga
    saga = replace(saga.with_phase(DELIVERY, Phase.DONE), ending=None, reason=None)
    if saga.phases[COMMIT] is Phase.FAILED:
        # Not asked for at once: products would refuse at once, and the two would go round. The sweeper asks.
        saga = saga.with_phase(COMMIT, Phase.REQUESTED)
    return saga


def _moved(saga: Saga, progress: OrderStatus | None) -> Saga:
    if progress is None or saga.status in ENDED:
        return saga
    return replace(saga, progress=_further(saga.progress, progress))


def _further(one: OrderStatus | None, other: OrderStatus) -> OrderStatus:
    return other if one is None or SOLD.index(other) > SOLD.index(one) else one


def _advance(saga: Saga) -> tuple[Saga, tuple[Ask, ...]]:
    if saga.status in ENDED:
        return saga, ()
    return _backward(saga) if saga.ending else _forward(saga)


def _forward(saga: Saga) -> tuple[Saga, tuple[Ask, ...]]:
    for steps in ((STOCK,), (PAYMENT,), (DELIVERY, COMMIT)):
        begun = [step for step in steps if saga.phases[step] is Phase.IDLE]
        for step in begun:
            saga = saga.with_phase(step, Phase.REQUESTED)
        if any(saga.phases[step] is not Phase.DONE for step in steps):
            return saga, tuple(REQUEST[step] for step in begun)
    paid = OrderStatus.PAID if saga.status in UNSETTLED else saga.status
    status = _further(paid, saga.progress) if saga.progress else paid
    return replace(saga, status=status), (Ask.TELL_PAID,) if saga.status in UNSETTLED else ()


def _backward(saga: Saga) -> tuple[Saga, tuple[Ask, ...]]:
    """In reverse, delivery first: it alone can refuse."""
    ending = saga.ending
    assert ending is not None
    if saga.phases[DELIVERY] in (Phase.REQUESTED, Phase.DONE):
        return saga.with_phase(DELIVERY, Phase.UNDOING), (Ask.CANCEL_DELIVERY,)
    if saga.phases[DELIVERY] is Phase.UNDOING:
        return saga, ()
    asks: list[Ask] = []
    if saga.phases[PAYMENT] in (Phase.REQUESTED, Phase.DONE):
        saga = saga.with_phase(PAYMENT, Phase.UNDOING)
        asks.append(Ask.CANCEL_PAYMENT)
    if saga.phases[STOCK] in (Phase.REQUESTED, Phase.DONE) and saga.phases[COMMIT] is not Phase.REQUESTED:
        if saga.phases[COMMIT] is Phase.DONE:
            saga = saga.with_phase(COMMIT, Phase.UNDOING)
        saga = saga.with_phase(STOCK, Phase.UNDOING)
        asks.append(Ask.RELEASE_STOCK)
    if any(phase in (Phase.REQUESTED, Phase.DONE, Phase.UNDOING) for phase in saga.phases.values()):
        return saga, tuple(asks)
    return replace(saga, status=ending), (*asks, Ask.TELL_CANCELED)
