"""What is there again after a broker ended, however it did."""
