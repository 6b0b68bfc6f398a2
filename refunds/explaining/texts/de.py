"""Pure: the texts in German, with formal address."""

from collections.abc import Mapping

from refunds.explaining.keys import Key

_CONFIRMED = "Unser Zahlungsdienstleister hat am {done_on} bestätigt, dass Ihre Erstattung über {amount} an "
_VISIBLE_BY_NOW = "Der Betrag sollte inzwischen normalerweise sichtbar sein. Bitte prüfen Sie "

TEXTS: Mapping[Key, str] = {
    Key.CLAIMED: "Wir haben Ihre Erstattung über {amount} beantragt. Unser Zahlungsdienstleister hat sie uns noch "
    "nicht bestätigt.",
    Key.CLAIMED_LATE: "Wir haben Ihre Erstattung über {amount} beantragt, unser Zahlungsdienstleister hat sie uns aber "
    "noch nicht bestätigt. Das dauert länger als üblich, und wir gehen dem nach.",
    Key.REQUESTED: "Ihre Erstattung über {amount} ist bei unserem Zahlungsdienstleister angelegt und wartet auf die "
    "Bearbeitung.",
    Key.ACTION_NEEDED: "Damit es mit Ihrer Erstattung über {amount} weitergehen kann, ist noch ein Schritt nötig. "
    "Falls Sie eine E-Mail mit der Bitte um Ihre Bankverbindung erhalten haben, folgen Sie bitte den Hinweisen darin; "
    "andernfalls antworten Sie bitte auf diese Nachricht.",
    Key.PENDING: "Ihre Erstattung über {amount} wird von unserem Zahlungsdienstleister bearbeitet.",
    Key.PENDING_LATE: "Ihre Erstattung über {amount} wird weiterhin von unserem Zahlungsdienstleister bearbeitet. Das "
    "dauert länger als üblich; bitte entschuldigen Sie die Verzögerung.",
    Key.PENDING_STUCK: "Ihre Erstattung über {amount} ist weiterhin in Bearbeitung, und das dauert deutlich länger als "
    "üblich. Bitte entschuldigen Sie die Verzögerung; wir klären dies mit unserem Zahlungsdienstleister.",
    Key.ACCEPTED: "Ihre Erstattung über {amount} wurde am {done_on} zur Auszahlung weitergeleitet. Die Bestätigung der "
    "Buchung liegt uns noch nicht vor.",
    Key.ACCEPTED_LATE: "Ihre Erstattung über {amount} wurde am {done_on} zur Auszahlung weitergeleitet. Die endgültige "
    "Bestätigung dauert länger als üblich; bitte entschuldigen Sie die Verzögerung.",
    Key.DONE_CARD: _CONFIRMED + "die Karte gesendet wurde, mit der Sie bezahlt haben.",
    Key.DONE_BANK: _CONFIRMED + "das Bankkonto gesendet wurde, von dem Sie bezahlt haben.",
    Key.DONE_WALLET: _CONFIRMED + "das Wallet oder Konto gesendet wurde, mit dem Sie bezahlt haben.",
    Key.DONE_VOUCHER: _CONFIRMED + "den Zahlungsdienst gesendet wurde, den Sie für diesen Kauf genutzt haben.",
    Key.DONE_UNKNOWN: _CONFIRMED + "das Zahlungsmittel gesendet wurde, mit dem Sie bezahlt haben.",
    Key.REVERSED: "Unser Zahlungsdienstleister hat am {done_on} bestätigt, dass die Belastung über {amount} storniert "
    "wurde. Die ursprüngliche Belastung verschwindet von Ihrer Abrechnung oder verringert sich um diesen Betrag; eine "
    "gesonderte Gutschrift und eine Referenznummer gibt es deshalb nicht.",
    Key.VOIDED: "Ihre Zahlung über {amount} wurde am {done_on} storniert, bevor sie eingezogen wurde. Der Betrag "
    "wurde nicht abgebucht; eine gesonderte Erstattung ist daher nicht nötig. Je nach Bank kann eine Vormerkung noch "
    "einige Tage sichtbar sein.",
    Key.CANCELED: "Ihre Erstattung über {amount} wurde gestoppt, bevor Geld übertragen wurde.",
    Key.FAILED: "Leider konnte Ihre Erstattung über {amount} nicht ausgeführt werden.",
    Key.RETURNED: "Leider ist Ihre Erstattung über {amount} am {done_on} an uns zurückgegangen und hat Sie nicht "
    "erreicht.",
    Key.RETURNED_AFTER_SUCCESS: "Leider ist Ihre Erstattung über {amount} am Ende nicht zustande gekommen. Falls Sie "
    "von uns zuvor eine andere Auskunft bekommen haben, trifft diese nicht mehr zu; dafür bitten wir um "
    "Entschuldigung.",
    Key.CHECKING: "Wir klären derzeit mit unserem Zahlungsdienstleister den aktuellen Stand Ihrer Erstattung über "
    "{amount} und können Ihnen noch keine verlässliche Auskunft geben.",
    Key.REVERSAL_PLANNED: "Die Erstattung wird als Stornierung abgewickelt: Die ursprüngliche Belastung wird "
    "zurückgenommen oder verringert, statt dass eine gesonderte Gutschrift erfolgt. Eine Referenznummer gibt es "
    "deshalb nicht.",
    Key.PARTIAL: "Es handelt sich um eine Teilerstattung Ihrer Zahlung über {payment_amount}.",
    Key.SETTLED: "Der Betrag hat unser Konto am {settled_on} verlassen.",
    Key.CONFIRM_BY: "Vergleichbare Erstattungen werden meist bis etwa zum {expected_by} bestätigt; das ist eine "
    "Schätzung und kein fester Termin.",
    Key.ARRIVES_CARD: "Je nach kartenausgebender Bank ist der Betrag meist bis etwa zum {expected_by} auf Ihrer "
    "Abrechnung sichtbar; das ist eine Schätzung.",
    Key.ARRIVES_BANK: "Je nach Bank ist der Betrag meist bis etwa zum {expected_by} auf Ihrem Konto sichtbar; das ist "
    "eine Schätzung.",
    Key.ARRIVES_WALLET: "Je nach Anbieter ist der Betrag meist bis etwa zum {expected_by} in Ihrem Wallet oder auf "
    "Ihrem Konto sichtbar; das ist eine Schätzung.",
    Key.ARRIVES_VOUCHER: "Je nach Zahlungsdienst ist der Betrag dort meist bis etwa zum {expected_by} sichtbar; das "
    "ist eine Schätzung.",
    Key.ARRIVES_UNKNOWN: "Je nach Zahlungsart ist der Betrag meist bis etwa zum {expected_by} sichtbar; das ist eine "
    "Schätzung.",
    Key.OVERDUE_CARD: _VISIBLE_BY_NOW + "Ihre Kartenabrechnungen ab dem {done_on}; falls Sie ihn nicht finden, wenden "
    "Sie sich bitte an Ihre kartenausgebende Bank.",
    Key.OVERDUE_BANK: _VISIBLE_BY_NOW + "Ihre Kontoauszüge ab dem {done_on}; falls Sie ihn nicht finden, wenden Sie "
    "sich bitte an Ihre Bank.",
    Key.OVERDUE_WALLET: _VISIBLE_BY_NOW + "die Umsätze in Ihrem Wallet oder auf Ihrem Konto ab dem {done_on}; falls "
    "Sie den Betrag nicht finden, wenden Sie sich bitte an den jeweiligen Anbieter.",
    Key.OVERDUE_VOUCHER: _VISIBLE_BY_NOW + "die Umsätze auf Ihrem Konto beim Zahlungsdienst ab dem {done_on}; falls "
    "Sie den Betrag nicht finden, wenden Sie sich bitte an den Zahlungsdienst.",
    Key.OVERDUE_UNKNOWN: _VISIBLE_BY_NOW + "Ihre Abrechnungen ab dem {done_on}; falls Sie ihn nicht finden, antworten "
    "Sie bitte auf diese Nachricht.",
    Key.REFERENCE: "Ihre Bank kann die Erstattung anhand der Referenznummer (ARN) {arn} nachverfolgen.",
    Key.REFERENCE_FOLLOWS: "Eine Referenznummer für Ihre Bank liegt noch nicht vor.",
    Key.REFERENCE_NONE: "Für diese Erstattung gibt es keine Referenznummer.",
    Key.REASON_ACCOUNT_UNREACHABLE: "Die Bank konnte den Betrag nicht auf der für Ihre Zahlung verwendeten Karte oder "
    "dem dafür verwendeten Konto gutschreiben.",
    Key.REASON_DECLINED: "Die Bank oder der Zahlungsdienst hat die Erstattung abgelehnt.",
    Key.REASON_DISPUTED: "Zu dieser Zahlung ist bei Ihrer Bank eine Reklamation offen; was mit dem Betrag geschieht, "
    "wird dort geklärt.",
    Key.REASON_OUR_SIDE: "Die Ursache liegt bei uns und nicht bei Ihnen.",
    Key.REASON_WITHDRAWN: "Die Erstattung wurde von unserer Seite gestoppt.",
    Key.REASON_NOT_COLLECTED: "Die Zahlung war bei Ihnen noch nicht eingezogen worden.",
    Key.REASON_UNSAID: "Ein Grund wurde uns nicht genannt.",
    Key.DISPUTED: "Zu dieser Zahlung wurde bei Ihrer Bank auch eine Reklamation eingereicht; möglicherweise wird dort "
    "geklärt, was mit dem Betrag geschieht.",
    Key.CONTACT: "Bitte antworten Sie auf diese Nachricht, damit wir das weitere Vorgehen mit Ihnen abstimmen können.",
    Key.AS_OF: "Stand dieser Auskunft: {known_at}.",
    Key.MAIL_SUBJECT: "Ihre Erstattung über {amount}",
    Key.MAIL_GREETING: "Guten Tag,",
    Key.MAIL_CLOSING: "Mit freundlichen Grüßen",
}
