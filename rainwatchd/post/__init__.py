"""The ranger's post: what all devices report, on one page that a person can see, hear and answer.

Messages from the broker come in; a page, exports, and verdicts to the devices go out.
"""
