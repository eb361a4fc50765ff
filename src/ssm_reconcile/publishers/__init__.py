"""Plans and reports -> GitHub: comments, issues, annotations, job summary, step outputs.

    runner        environment of a workflow run; annotations, step outputs and job summary
    github        client of the GitHub API; the pull request of a run; whether its branch moved
    approvals     files of `github approval` and `github reviewed` -> the people behind an apply
    check_run     plan or failure -> a check run
    pages         plan, report or failure -> the Markdown for one replication
    marked_body   pages -> comments on a pull request, issues on drift
    reviewed      pull request -> the plan that its comment shows, from the artifact

A publisher never changes a plan. A failure to publish is reported and changes no exit code by itself.
"""
