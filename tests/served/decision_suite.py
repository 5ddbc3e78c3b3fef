"""Questions that a real server was asked once; what it said is in `recorded/`."""

from __future__ import annotations

from pytest_llminvariance import DecisionQuestion

ANIMALS = tuple(
    DecisionQuestion("Which animal is this about?", ("cat", "dog", "horse"), id=f"animal{n}", context=text)
    for n, text in enumerate(
        ("The dog barked at the postman.", "A cat sat purring on the sofa.", "The horse galloped over the field.")
    )
)
TICKET = {"message": "I was charged twice and want my money back today.", "order": 1842}
MIXED = (
    DecisionQuestion(
        "What does the customer want?",
        {"refund": "Money back", "exchange": "Another item", "advice": None},
        id="wish",
        context=TICKET,
    ),
    DecisionQuestion(
        "How urgent is it?", ("can wait", "this week", "today"), kind="score", id="urgency", context=TICKET
    ),
    DecisionQuestion("Is a refund requested?", kind="yes_no", id="refund", context=TICKET),
    DecisionQuestion(
        "Is the customer angry?", {"yes": "Harsh words", "no": "A calm tone"}, kind="yes_no", id="angry", context=TICKET
    ),
)
