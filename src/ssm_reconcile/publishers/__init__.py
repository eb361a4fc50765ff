"""Plans and reports -> the places where people decide. A publisher shows; it never changes what it shows.

    comment       one sticky comment a replication on the pull request
    summary       the summary of a job            annotations   findings on the lines of the spec
    outputs       what later steps of a workflow read
    reviewed      the other way round: the plan that a pull request's comment shows, as a file

`github` is the one that talks to GitHub, `event` knows what a runner told us, `pages` knows what there
is to say. What cannot be published is told, and decides nothing: a plan is not worse for it.
"""
