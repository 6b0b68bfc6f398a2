"""Pure: the texts in French, with formal address. A hard space (\u00a0) stands before ; and :."""

from collections.abc import Mapping

from refunds.explaining.keys import Key

_CONFIRMED = (
    "Notre prestataire de paiement a confirmé le {done_on} que votre remboursement de {amount} a été envoyé vers "
)
_VISIBLE_BY_NOW = "Le montant devrait normalement être visible à présent. Veuillez vérifier "

TEXTS: Mapping[Key, str] = {
    Key.CLAIMED: "Nous avons demandé votre remboursement de {amount}. Notre prestataire de paiement ne nous l’a pas "
    "encore confirmé.",
    Key.CLAIMED_LATE: "Nous avons demandé votre remboursement de {amount}, mais notre prestataire de paiement ne nous "
    "l’a pas encore confirmé. Ce délai est plus long que d’habitude et nous suivons votre dossier.",
    Key.REQUESTED: "Votre remboursement de {amount} a été enregistré auprès de notre prestataire de paiement et est "
    "en attente de traitement.",
    Key.ACTION_NEEDED: "Une étape est encore nécessaire pour poursuivre le traitement de votre remboursement de "
    "{amount}. Si vous avez reçu un e-mail vous demandant vos coordonnées bancaires, veuillez suivre les instructions "
    "qu’il contient\u00a0; sinon, veuillez répondre à ce message.",
    Key.PENDING: "Votre remboursement de {amount} est en cours de traitement par notre prestataire de paiement.",
    Key.PENDING_LATE: "Votre remboursement de {amount} est toujours en cours de traitement par notre prestataire de "
    "paiement. Ce délai est plus long que d’habitude et nous vous prions de nous en excuser.",
    Key.PENDING_STUCK: "Votre remboursement de {amount} est toujours en cours de traitement, et ce délai est nettement "
    "plus long que d’habitude. Nous vous prions de nous en excuser et nous examinons la situation avec notre "
    "prestataire de paiement.",
    Key.ACCEPTED: "Votre remboursement de {amount} a été transmis pour paiement le {done_on}. Nous n’avons pas encore "
    "la confirmation de sa comptabilisation.",
    Key.ACCEPTED_LATE: "Votre remboursement de {amount} a été transmis pour paiement le {done_on}. La confirmation "
    "définitive prend plus de temps que d’habitude et nous vous prions de nous en excuser.",
    Key.DONE_CARD: _CONFIRMED + "la carte avec laquelle vous avez payé.",
    Key.DONE_BANK: _CONFIRMED + "le compte bancaire depuis lequel vous avez payé.",
    Key.DONE_WALLET: _CONFIRMED + "le portefeuille électronique ou le compte avec lequel vous avez payé.",
    Key.DONE_VOUCHER: _CONFIRMED + "le service de paiement que vous avez utilisé pour cet achat.",
    Key.DONE_UNKNOWN: _CONFIRMED + "le moyen de paiement que vous avez utilisé.",
    Key.REVERSED: "Notre prestataire de paiement a confirmé le {done_on} que le débit de {amount} a été annulé. Le "
    "débit initial disparaît de votre relevé ou est réduit de ce montant\u00a0; il n’y a donc ni crédit distinct ni "
    "numéro de référence.",
    Key.VOIDED: "Votre paiement de {amount} a été annulé le {done_on} avant d’être encaissé. Ce montant ne vous a pas "
    "été débité\u00a0; aucun remboursement distinct n’est donc nécessaire. En fonction de votre banque, un montant en "
    "attente peut rester visible quelques jours.",
    Key.CANCELED: "Votre remboursement de {amount} a été interrompu avant tout transfert d’argent.",
    Key.FAILED: "Malheureusement, votre remboursement de {amount} n’a pas pu être réalisé.",
    Key.RETURNED: "Malheureusement, votre remboursement de {amount} nous est revenu le {done_on} et ne vous est pas "
    "parvenu.",
    Key.RETURNED_AFTER_SUCCESS: "Malheureusement, votre remboursement de {amount} n’a finalement pas pu être réalisé. "
    "Si nous vous avons précédemment donné une autre information, celle-ci n’est plus exacte, et nous vous prions de "
    "nous en excuser.",
    Key.CHECKING: "Nous vérifions actuellement l’état de votre remboursement de {amount} auprès de notre prestataire "
    "de paiement et ne pouvons pas encore vous donner d’information fiable.",
    Key.REVERSAL_PLANNED: "Le remboursement est traité comme une annulation\u00a0: le débit initial est supprimé ou "
    "réduit, sans crédit distinct. Il n’y a donc pas de numéro de référence.",
    Key.PARTIAL: "Il s’agit d’un remboursement partiel de votre paiement de {payment_amount}.",
    Key.SETTLED: "Le montant a quitté notre compte le {settled_on}.",
    Key.CONFIRM_BY: "Les remboursements de ce type sont généralement confirmés d’ici au {expected_by} environ\u00a0; "
    "il s’agit d’une estimation et non d’une date ferme.",
    Key.ARRIVES_CARD: "En fonction de l’émetteur de votre carte, le montant apparaît généralement sur votre relevé "
    "d’ici au {expected_by} environ\u00a0; il s’agit d’une estimation.",
    Key.ARRIVES_BANK: "En fonction de votre banque, le montant apparaît généralement sur votre compte d’ici au "
    "{expected_by} environ\u00a0; il s’agit d’une estimation.",
    Key.ARRIVES_WALLET: "En fonction du fournisseur de votre portefeuille électronique ou de votre compte, le montant "
    "y apparaît généralement d’ici au {expected_by} environ\u00a0; il s’agit d’une estimation.",
    Key.ARRIVES_VOUCHER: "En fonction du service de paiement, le montant y apparaît généralement d’ici au "
    "{expected_by} environ\u00a0; il s’agit d’une estimation.",
    Key.ARRIVES_UNKNOWN: "En fonction de votre moyen de paiement, le montant est généralement visible d’ici au "
    "{expected_by} environ\u00a0; il s’agit d’une estimation.",
    Key.OVERDUE_CARD: _VISIBLE_BY_NOW + "vos relevés de carte à partir du {done_on}\u00a0; si vous ne le trouvez pas, "
    "veuillez contacter l’émetteur de votre carte.",
    Key.OVERDUE_BANK: _VISIBLE_BY_NOW + "vos relevés de compte à partir du {done_on}\u00a0; si vous ne le trouvez pas, "
    "veuillez contacter votre banque.",
    Key.OVERDUE_WALLET: _VISIBLE_BY_NOW + "les opérations de votre portefeuille électronique ou de votre compte à "
    "partir du {done_on}\u00a0; si vous n’y trouvez pas le montant, veuillez contacter le fournisseur concerné.",
    Key.OVERDUE_VOUCHER: _VISIBLE_BY_NOW + "les opérations de votre compte auprès du service de paiement à partir du "
    "{done_on}\u00a0; si vous n’y trouvez pas le montant, veuillez contacter ce service.",
    Key.OVERDUE_UNKNOWN: _VISIBLE_BY_NOW
    + "vos relevés à partir du {done_on}\u00a0; si vous ne le trouvez pas, veuillez "
    "répondre à ce message.",
    Key.REFERENCE: "Votre banque peut retrouver l’opération grâce au numéro de référence (ARN) {arn}.",
    Key.REFERENCE_FOLLOWS: "Aucun numéro de référence pour votre banque n’est encore disponible.",
    Key.REFERENCE_NONE: "Il n’y a pas de numéro de référence pour ce remboursement.",
    Key.REASON_ACCOUNT_UNREACHABLE: "La banque n’a pas pu créditer la carte ou le compte ayant servi au paiement.",
    Key.REASON_DECLINED: "La banque ou le service de paiement a refusé le remboursement.",
    Key.REASON_DISPUTED: "Une contestation de ce paiement est en cours auprès de votre banque, et le montant est "
    "traité dans ce cadre.",
    Key.REASON_OUR_SIDE: "La cause est de notre côté et non du vôtre.",
    Key.REASON_WITHDRAWN: "Le remboursement a été interrompu de notre côté.",
    Key.REASON_NOT_COLLECTED: "Le paiement ne vous avait pas encore été débité.",
    Key.REASON_UNSAID: "Aucun motif ne nous a été communiqué.",
    Key.DISPUTED: "Une contestation de ce paiement a également été ouverte auprès de votre banque\u00a0; il est "
    "possible que le montant soit traité dans ce cadre.",
    Key.CONTACT: "Veuillez répondre à ce message afin que nous puissions convenir avec vous de la suite.",
    Key.AS_OF: "Cette information est à jour au {known_at}.",
    Key.MAIL_SUBJECT: "Votre remboursement de {amount}",
    Key.MAIL_GREETING: "Bonjour,",
    Key.MAIL_CLOSING: "Cordialement",
}
