"""Plans and reports -> bytes for people and programs. Renderers can neither act nor reveal.

    json       Plan or Report -> the document that is saved and published (the contract)
    view       document -> what people see of it: grouped, merged, cut, made inert, once for all outputs
    text       view -> a terminal           markdown   view -> a pull request comment, a job summary

Everything but `json` starts from the document, so a saved plan looks as it did when it was made.
"""
