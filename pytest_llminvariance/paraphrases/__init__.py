"""Other wordings of a question: proposed by rule or by a model, screened, reviewed by a person, locked in a file.

Tests use what was accepted and generate nothing.
"""

from pytest_llminvariance.paraphrases.transform import accepted_stems as accepted_stems
