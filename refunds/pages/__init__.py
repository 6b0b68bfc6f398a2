"""What people see: pages that read and ask, and never decide. Every write goes through refunds.services."""
