"""Processors to practise on: a local server that behaves like them and knows the truth about every refund.

In tests, without sockets:

    clock = VirtualClock()
    sandbox = Sandbox(seed=1, clock=clock)
    sandbox.start_refund("stripe", life="late_failure", refund_id="re_1")
    client = httpx.Client(transport=sandbox.transport(), base_url="https://api.stripe.com")
    clock.advance(days=20)
    for delivery in sandbox.deliveries_due(): ...        # post it, then sandbox.delivered(delivery, status)
    sandbox.truth_of("re_1").status                      # "FAILED"
    sandbox.assert_no_money_moved()

As a server: `manage.py sandbox --help`. It imports nothing of the dashboard, so that no mistake is made on both sides.
"""
