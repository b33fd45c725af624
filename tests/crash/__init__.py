"""Nothing confirmed is ever lost: brokers are killed under load, again and again, and what comes back is counted."""
