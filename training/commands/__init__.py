"""What ``python -m training`` does, a module a command.

Command lines come in; files and one line on what was made go out.
"""
