"""Models behind a server.

Nothing here is imported before a model of this kind is asked for; httpx and tenacity come with the extra `served`.
"""
