"""The tab "Modules": what a network is made of, how its parts are wired, and what each of them gives."""
