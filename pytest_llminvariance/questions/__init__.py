"""What is asked and how one showing of it looks: questions, questionnaires, presentations, templates, labels.

Pure data, checked when it is made. Knows the way back from what was shown to content; knows nothing of
models, answers or which showings are planned.
"""
