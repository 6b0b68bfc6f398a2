"""Pure: the texts in Spanish, with formal address."""

from collections.abc import Mapping

from refunds.explaining.keys import Key

_CONFIRMED = "Nuestro proveedor de pagos confirmó el {done_on} que su reembolso de {amount} se ha enviado "
_VISIBLE_BY_NOW = "El importe normalmente ya debería estar visible. Revise, por favor, "

TEXTS: Mapping[Key, str] = {
    Key.CLAIMED: "Hemos solicitado su reembolso de {amount}. Nuestro proveedor de pagos todavía no nos lo ha "
    "confirmado.",
    Key.CLAIMED_LATE: "Hemos solicitado su reembolso de {amount}, pero nuestro proveedor de pagos todavía no nos lo ha "
    "confirmado. Está tardando más de lo habitual y lo estamos revisando.",
    Key.REQUESTED: "Su reembolso de {amount} está registrado en nuestro proveedor de pagos y pendiente de tramitación.",
    Key.ACTION_NEEDED: "Para que su reembolso de {amount} pueda continuar, hace falta un paso más. Si ha recibido un "
    "correo electrónico en el que se le piden sus datos bancarios, siga, por favor, las instrucciones que contiene; de "
    "lo contrario, responda, por favor, a este mensaje.",
    Key.PENDING: "Nuestro proveedor de pagos está tramitando su reembolso de {amount}.",
    Key.PENDING_LATE: "Nuestro proveedor de pagos sigue tramitando su reembolso de {amount}. Está tardando más de lo "
    "habitual; le pedimos disculpas por la demora.",
    Key.PENDING_STUCK: "Su reembolso de {amount} sigue en trámite y está tardando mucho más de lo habitual. Le pedimos "
    "disculpas por la demora y lo estamos aclarando con nuestro proveedor de pagos.",
    Key.ACCEPTED: "Su reembolso de {amount} se transmitió para su pago el {done_on}. Todavía no tenemos la "
    "confirmación de que se haya contabilizado.",
    Key.ACCEPTED_LATE: "Su reembolso de {amount} se transmitió para su pago el {done_on}. La confirmación definitiva "
    "está tardando más de lo habitual; le pedimos disculpas por la demora.",
    Key.DONE_CARD: _CONFIRMED + "a la tarjeta con la que pagó.",
    Key.DONE_BANK: _CONFIRMED + "a la cuenta bancaria desde la que pagó.",
    Key.DONE_WALLET: _CONFIRMED + "al monedero digital o a la cuenta que utilizó para pagar.",
    Key.DONE_VOUCHER: _CONFIRMED + "al servicio de pago que utilizó para esta compra.",
    Key.DONE_UNKNOWN: _CONFIRMED + "al medio de pago que utilizó.",
    Key.REVERSED: "Nuestro proveedor de pagos confirmó el {done_on} que el cargo de {amount} se ha anulado. El cargo "
    "original desaparece de su extracto o se reduce en este importe, por lo que no hay abono aparte ni número de "
    "referencia.",
    Key.VOIDED: "Su pago de {amount} se anuló el {done_on} antes de cobrarse. El importe no se le ha cargado, por lo "
    "que no hace falta un reembolso aparte. Dependiendo de su banco, es posible que una retención siga visible "
    "algunos días.",
    Key.CANCELED: "Su reembolso de {amount} se detuvo antes de que se transfiriera dinero.",
    Key.FAILED: "Lamentablemente, su reembolso de {amount} no se ha podido realizar.",
    Key.RETURNED: "Lamentablemente, su reembolso de {amount} nos fue devuelto el {done_on} y no le llegó.",
    Key.RETURNED_AFTER_SUCCESS: "Lamentablemente, su reembolso de {amount} finalmente no se ha podido realizar. Si "
    "anteriormente le dimos otra información, esta ya no es correcta, y le pedimos disculpas por ello.",
    Key.CHECKING: "Estamos comprobando con nuestro proveedor de pagos el estado actual de su reembolso de {amount} y "
    "todavía no podemos darle información fiable.",
    Key.REVERSAL_PLANNED: "El reembolso se tramita como una anulación: el cargo original se retira o se reduce en "
    "lugar de hacerse un abono aparte, por lo que no hay número de referencia.",
    Key.PARTIAL: "Se trata de un reembolso parcial de su pago de {payment_amount}.",
    Key.SETTLED: "El importe salió de nuestra cuenta el {settled_on}.",
    Key.CONFIRM_BY: "Los reembolsos de este tipo suelen confirmarse hacia el {expected_by} o antes; es una estimación "
    "y no una fecha fija.",
    Key.ARRIVES_CARD: "Dependiendo de la entidad emisora de su tarjeta, el importe suele aparecer en su extracto "
    "hacia el {expected_by} o antes; es una estimación.",
    Key.ARRIVES_BANK: "Dependiendo de su banco, el importe suele aparecer en su cuenta hacia el {expected_by} o "
    "antes; es una estimación.",
    Key.ARRIVES_WALLET: "Dependiendo del proveedor de su monedero digital o de su cuenta, el importe suele aparecer "
    "allí hacia el {expected_by} o antes; es una estimación.",
    Key.ARRIVES_VOUCHER: "Dependiendo del servicio de pago, el importe suele aparecer allí hacia el {expected_by} o "
    "antes; es una estimación.",
    Key.ARRIVES_UNKNOWN: "Dependiendo del medio de pago, el importe suele estar visible hacia el {expected_by} o "
    "antes; es una estimación.",
    Key.OVERDUE_CARD: _VISIBLE_BY_NOW + "los extractos de su tarjeta a partir del {done_on}; si no lo encuentra, "
    "póngase en contacto con la entidad emisora de su tarjeta.",
    Key.OVERDUE_BANK: _VISIBLE_BY_NOW + "los extractos de su cuenta a partir del {done_on}; si no lo encuentra, "
    "póngase en contacto con su banco.",
    Key.OVERDUE_WALLET: _VISIBLE_BY_NOW + "los movimientos de su monedero digital o de su cuenta a partir del "
    "{done_on}; si no encuentra el importe, póngase en contacto con el proveedor correspondiente.",
    Key.OVERDUE_VOUCHER: _VISIBLE_BY_NOW + "los movimientos de su cuenta en el servicio de pago a partir del "
    "{done_on}; si no encuentra el importe, póngase en contacto con ese servicio.",
    Key.OVERDUE_UNKNOWN: _VISIBLE_BY_NOW + "sus extractos a partir del {done_on}; si no lo encuentra, responda a este "
    "mensaje.",
    Key.REFERENCE: "Su banco puede localizar la operación con el número de referencia (ARN) {arn}.",
    Key.REFERENCE_FOLLOWS: "Todavía no disponemos de un número de referencia para su banco.",
    Key.REFERENCE_NONE: "No hay número de referencia para este reembolso.",
    Key.REASON_ACCOUNT_UNREACHABLE: "El banco no ha podido abonar el importe en la tarjeta o la cuenta con la que "
    "pagó.",
    Key.REASON_DECLINED: "El banco o el servicio de pago ha rechazado el reembolso.",
    Key.REASON_DISPUTED: "Hay una reclamación abierta sobre este pago en su banco, y el importe se gestiona allí.",
    Key.REASON_OUR_SIDE: "La causa está de nuestro lado y no del suyo.",
    Key.REASON_WITHDRAWN: "El reembolso se detuvo por nuestra parte.",
    Key.REASON_NOT_COLLECTED: "El pago todavía no se le había cobrado.",
    Key.REASON_UNSAID: "No se nos ha comunicado ningún motivo.",
    Key.DISPUTED: "También se ha abierto una reclamación sobre este pago en su banco; es posible que el importe se "
    "gestione allí.",
    Key.CONTACT: "Responda, por favor, a este mensaje para que podamos acordar con usted cómo proceder.",
    Key.AS_OF: "Esta información corresponde al {known_at}.",
    Key.MAIL_SUBJECT: "Su reembolso de {amount}",
    Key.MAIL_GREETING: "Estimado/a cliente:",
    Key.MAIL_CLOSING: "Atentamente",
}
