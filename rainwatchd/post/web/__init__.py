"""What browsers are told, and whom the post lets in.

Requests come in; the page, answers and live events go out.
"""
