"""Payments: methods, charges, refunds, and the provider that moves the money."""
