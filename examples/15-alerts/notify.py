"""Mails alerts: ``python notify.py PORT QUEUE PATTERN RECIPIENT…``"""

import os
import smtplib
import sys
from email.message import EmailMessage

import warrenmq

port, name, pattern, *recipients = sys.argv[1:]

with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    exchange = mq.exchange("alerts", "topic", durable=True)
    alerts = mq.queue(name, durable=True)
    alerts.bind(exchange, pattern)
    messages = alerts.consume()
    print("ready")
    for message in messages:
        mail = EmailMessage()
        mail["From"] = "alerts@example.com"
        mail["To"] = ", ".join(recipients)
        mail["Subject"] = message.routing_key
        mail.set_content(message.text())
        with smtplib.SMTP("127.0.0.1", int(port)) as server:
            server.send_message(mail)
        message.ack()  # the mail server has it
        print("mailed", message.routing_key)
