"""What people do about refunds: notes, who is at it, when to look again, tags, tickets, views. It stands beside the
refund and never touches what processors said."""
