"""Pure: the texts in Portuguese, with formal address and words that both Portugal and Brazil use."""

from collections.abc import Mapping

from refunds.explaining.keys import Key

_CONFIRMED = (
    "O nosso prestador de serviços de pagamento confirmou em {done_on} que o seu reembolso de {amount} foi "
    "enviado para "
)
_VISIBLE_BY_NOW = "O valor já deveria, em princípio, estar visível. Verifique, por favor, "

TEXTS: Mapping[Key, str] = {
    Key.CLAIMED: "O seu reembolso de {amount} foi solicitado por nós. O nosso prestador de serviços de pagamento "
    "ainda não o confirmou.",
    Key.CLAIMED_LATE: "O seu reembolso de {amount} foi solicitado por nós, mas o nosso prestador de serviços de "
    "pagamento ainda não o confirmou. A demora é maior do que o habitual, e o assunto está em análise.",
    Key.REQUESTED: "O seu reembolso de {amount} foi criado no nosso prestador de serviços de pagamento e aguarda "
    "processamento.",
    Key.ACTION_NEEDED: "Falta um passo para que o seu reembolso de {amount} possa prosseguir. Se recebeu um e-mail com "
    "um pedido dos seus dados bancários, siga, por favor, as instruções nele contidas; caso contrário, responda, por "
    "favor, a esta mensagem.",
    Key.PENDING: "O seu reembolso de {amount} está em processamento no nosso prestador de serviços de pagamento.",
    Key.PENDING_LATE: "O seu reembolso de {amount} continua em processamento no nosso prestador de serviços de "
    "pagamento. A demora é maior do que o habitual, e pedimos desculpas por isso.",
    Key.PENDING_STUCK: "O seu reembolso de {amount} continua em processamento, e a demora é muito maior do que o "
    "habitual. Pedimos desculpas por isso; o assunto está em análise com o nosso prestador de serviços de pagamento.",
    Key.ACCEPTED: "O seu reembolso de {amount} foi transmitido para pagamento em {done_on}. Ainda não temos a "
    "confirmação de que tenha sido contabilizado.",
    Key.ACCEPTED_LATE: "O seu reembolso de {amount} foi transmitido para pagamento em {done_on}. A confirmação "
    "definitiva demora mais do que o habitual, e pedimos desculpas por isso.",
    Key.DONE_CARD: _CONFIRMED + "o cartão com que pagou.",
    Key.DONE_BANK: _CONFIRMED + "a conta bancária a partir da qual pagou.",
    Key.DONE_WALLET: _CONFIRMED + "a carteira digital ou a conta com que pagou.",
    Key.DONE_VOUCHER: _CONFIRMED + "o serviço de pagamento que utilizou nesta compra.",
    Key.DONE_UNKNOWN: _CONFIRMED + "o meio de pagamento que utilizou.",
    Key.REVERSED: "O nosso prestador de serviços de pagamento confirmou em {done_on} que a cobrança de {amount} foi "
    "anulada. A cobrança original desaparece do seu extrato ou é reduzida neste valor; por isso, não há crédito à "
    "parte nem número de referência.",
    Key.VOIDED: "O seu pagamento de {amount} foi anulado em {done_on} antes de ser cobrado. O valor não lhe foi "
    "debitado; por isso, não é necessário um reembolso à parte. Dependendo do seu banco, um valor pendente pode "
    "continuar visível durante alguns dias.",
    Key.CANCELED: "O seu reembolso de {amount} foi interrompido antes de qualquer transferência de dinheiro.",
    Key.FAILED: "Infelizmente, não foi possível realizar o seu reembolso de {amount}.",
    Key.RETURNED: "Infelizmente, o seu reembolso de {amount} foi devolvido à nossa empresa em {done_on} e não lhe foi "
    "entregue.",
    Key.RETURNED_AFTER_SUCCESS: "Infelizmente, afinal não foi possível realizar o seu reembolso de {amount}. Se "
    "anteriormente lhe demos outra informação, esta já não é correta, e pedimos desculpas por isso.",
    Key.CHECKING: "O estado atual do seu reembolso de {amount} está em verificação com o nosso prestador de serviços "
    "de pagamento, e ainda não podemos dar-lhe uma informação fidedigna.",
    Key.REVERSAL_PLANNED: "O reembolso é tratado como uma anulação: a cobrança original é retirada ou reduzida, em "
    "vez de ser feito um crédito à parte; por isso, não há número de referência.",
    Key.PARTIAL: "Trata-se de um reembolso parcial do seu pagamento de {payment_amount}.",
    Key.SETTLED: "O valor saiu da nossa conta em {settled_on}.",
    Key.CONFIRM_BY: "Reembolsos deste tipo costumam ser confirmados até por volta de {expected_by}; trata-se de uma "
    "estimativa e não de uma data fixa.",
    Key.ARRIVES_CARD: "Dependendo do emissor do seu cartão, o valor costuma aparecer no seu extrato até por volta de "
    "{expected_by}; trata-se de uma estimativa.",
    Key.ARRIVES_BANK: "Dependendo do seu banco, o valor costuma aparecer na sua conta até por volta de {expected_by}; "
    "trata-se de uma estimativa.",
    Key.ARRIVES_WALLET: "Dependendo do fornecedor da sua carteira digital ou conta, o valor costuma aparecer nela até "
    "por volta de {expected_by}; trata-se de uma estimativa.",
    Key.ARRIVES_VOUCHER: "Dependendo do serviço de pagamento, o valor costuma aparecer nele até por volta de "
    "{expected_by}; trata-se de uma estimativa.",
    Key.ARRIVES_UNKNOWN: "Dependendo do meio de pagamento, o valor costuma estar visível até por volta de "
    "{expected_by}; trata-se de uma estimativa.",
    Key.OVERDUE_CARD: _VISIBLE_BY_NOW + "os extratos do seu cartão a partir de {done_on}; se não encontrar o valor, "
    "fale com o emissor do seu cartão.",
    Key.OVERDUE_BANK: _VISIBLE_BY_NOW + "os extratos da sua conta a partir de {done_on}; se não encontrar o valor, "
    "fale com o seu banco.",
    Key.OVERDUE_WALLET: _VISIBLE_BY_NOW + "as transações da sua carteira digital ou conta a partir de {done_on}; se "
    "não encontrar o valor, fale com o fornecedor desse serviço.",
    Key.OVERDUE_VOUCHER: _VISIBLE_BY_NOW + "as transações da sua conta no serviço de pagamento a partir de {done_on}; "
    "se não encontrar o valor, fale com esse serviço.",
    Key.OVERDUE_UNKNOWN: _VISIBLE_BY_NOW + "os seus extratos a partir de {done_on}; se não encontrar o valor, "
    "responda a esta mensagem.",
    Key.REFERENCE: "O seu banco pode localizar a operação com o número de referência (ARN) {arn}.",
    Key.REFERENCE_FOLLOWS: "Ainda não há um número de referência disponível para o seu banco.",
    Key.REFERENCE_NONE: "Não há número de referência para este reembolso.",
    Key.REASON_ACCOUNT_UNREACHABLE: "O banco não conseguiu creditar o valor no cartão ou na conta com que pagou.",
    Key.REASON_DECLINED: "O banco ou o serviço de pagamento recusou o reembolso.",
    Key.REASON_DISPUTED: "Há uma contestação deste pagamento aberta no seu banco, e o valor é tratado no âmbito dessa "
    "contestação.",
    Key.REASON_OUR_SIDE: "A causa está do nosso lado e não do seu.",
    Key.REASON_WITHDRAWN: "O reembolso foi interrompido por nós.",
    Key.REASON_NOT_COLLECTED: "O pagamento ainda não lhe tinha sido cobrado.",
    Key.REASON_UNSAID: "Não nos foi comunicado nenhum motivo.",
    Key.DISPUTED: "Foi também aberta uma contestação deste pagamento no seu banco; é possível que o valor seja "
    "tratado no âmbito dessa contestação.",
    Key.CONTACT: "Responda, por favor, a esta mensagem para definirmos em conjunto como prosseguir.",
    Key.AS_OF: "Esta informação refere-se a {known_at}.",
    Key.MAIL_SUBJECT: "O seu reembolso de {amount}",
    Key.MAIL_GREETING: "Estimado(a) cliente,",
    Key.MAIL_CLOSING: "Atenciosamente",
}
