"""Hostile processors and hostile senders: what they try, and that none of it comes through.

`proxy` breaks the wire, `forgery` forges deliveries, `clock` sets the house's clock wrong. The promises P10, P13, P14,
P15, P22, P25 and P32 are tried with them; docs/hostile.md says what is tried and how to repeat it.
"""
