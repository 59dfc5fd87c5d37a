"""One static HTML page in which anybody can see what a number format does to data.

`explorer_page` returns the page: its engine, a port of the exact analysis to JavaScript, its
figures and its style are all in that one text, and nothing is loaded from anywhere.
"""

from qerror.explorer.page import engine_source as engine_source
from qerror.explorer.page import explorer_page as explorer_page
from qerror.explorer.registered import page_data as page_data
