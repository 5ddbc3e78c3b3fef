"""One check, from plan to finding: properties, planning, asking, evidence, guards, verdict.

`check` is the only way in. Knows neither pytest nor files; what is recorded goes to the current run's recorder.
"""
