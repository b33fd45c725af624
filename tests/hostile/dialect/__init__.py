"""What brokers answer, by themes."""

from hostile.dialect import messages, order, topology

CASES = order.CASES + messages.CASES + topology.CASES
