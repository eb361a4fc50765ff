"""Document of a plan or a report -> text, Markdown, HTML or JSON.

    escaping          any text -> text that is safe to print, and Markdown that quotes it
    changes, groups   parts of the view: one change; addresses, findings and names in groups
    view              document -> `PlanView` or `ReportView`, which all other outputs show

    text              a terminal
    markdown          pull request comment, job summary, failed run      markdown_blocks   its blocks
    comment_context   hidden marker, footer and links of a comment or issue
    drift_issue       the issue on drift
    html              one page, with its template, style and script

Every output starts from the document, so a saved plan is shown as it was when it was made.
"""
