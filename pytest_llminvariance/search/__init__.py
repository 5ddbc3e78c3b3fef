"""The nearest counter-example, breadth first over the product of transforms, whole classes at a time.

A search falsifies; it never enters a rate. Speaks to a Hypothesis that is running, but does not need one.
"""
