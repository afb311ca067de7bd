"""The suite as a page in the browser and a service for programs, on the user's own machine.

    suite.py      what is served: commands and their options, handed in by the command line, which knows them
    settings.py   limits, and who may ask
    spool.py      the temporary folder: bounded, emptied
    worker.py     a process that computes, and the thread that watches it
    jobs.py       the queue: what waits, what is computed, what can be fetched
    upload.py     a request's body into a file
    guard.py      who may ask: Host, Origin, token; headers that every answer has
    openapi.py    the description of the service, made of the commands' options
    app.py        the routes
    server.py     sockets, time limits of connections, signals
    page/         the page: HTML, CSS, JavaScript

The serving process imports no network: it answers, and workers compute.
"""
