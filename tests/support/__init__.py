"""What tests share: forged machines, made-up reports and headers, servers on loopback."""
