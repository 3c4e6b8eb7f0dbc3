"""What an archive's parts hold, in the forms that other programs read, and as a page to look at."""
