"""Settlement files by the name that finance looks for: the same as `report`, as files are told by their columns."""

from refunds.management.commands.report import Command as ReportCommand


class Command(ReportCommand):
    help = "The same as `report`: import, list and fetch processors' settlement files and status reports."
