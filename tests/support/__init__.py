"""What the test suites share: brokers to test against, and raw AMQP frames."""
