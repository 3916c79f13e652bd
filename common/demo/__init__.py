"""The demo: render views that were held out, compare them with the truth, and show everything on one page.

scenes      what to render: generated scenes or a folder of one's own, split into source and held-out views
compare     render with every contestant in a process of its own, and measure
report      tables and figures from a comparison
blocks      the HTML they are made of

A method that joins adds a `Contestant` and a section; nothing here knows any method.
"""
